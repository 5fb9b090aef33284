"""Making a judge: the model first, then what it can do, with the messages that would be sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from annotation.access import Capability, project_view
from annotation.forms import show_error
from annotation.judge_forms import SETTING_PREFIX, JudgeChoice, JudgeForm
from annotation.judging.protocol import JudgeSpec, check_spec
from annotation.judging.settings import JudgeSettings
from annotation.models import Item, Judge, Project
from annotation.selectors.judge_choice import Choice, choice_of, completed_choice
from annotation.selectors.judge_pages import models_on_offer
from annotation.selectors.judge_preview import item_for_preview, preview
from annotation.services.judge import create_judge
from core.access import SignedInRequest
from core.errors import PrefloopError

NO_ITEM = "This project has no item of this kind yet. Import some, and the messages stand here."


@project_view(Capability.RESEARCH)
@require_http_methods(["GET", "POST"])
@never_cache
def new_judge(request: SignedInRequest, project: Project) -> HttpResponse:
    is_sent = request.method == "POST"
    given = _given(project, request)
    choice = completed_choice(project, given)
    if choice is None:
        context = {"project": project, "has_models": models_on_offer().exists()}
        return render(request, "annotation/judging/new_judge_empty.html", context)
    data = request.POST if is_sent else None
    form = JudgeForm(data, choice=choice, initial=_typed(given, choice))
    if is_sent and form.is_valid():
        judge = _create(request, project, choice, form)
        if judge is not None:
            return redirect("annotation:judge", project.pk, judge.pk)
    is_swap = bool(request.htmx)  # type: ignore[attr-defined]
    template = "_judge_form.html" if is_swap else "new_judge.html"
    context = {"project": project, "form": form, "choice": choice, "is_swap": is_swap}
    context["choice_form"] = JudgeChoice(initial=_chosen(choice), choice=choice)
    context |= _preview(project, choice, form, after=0)
    status = 422 if is_sent else 200
    return render(request, f"annotation/judging/{template}", context, status=status)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def judge_preview(request: SignedInRequest, project: Project) -> HttpResponse:
    """The exact messages for a real item, as the form stands; asked anew at each change."""
    choice = completed_choice(project, request.GET)
    context: dict[str, Any] = {"no_preview": NO_ITEM}
    if choice is not None:
        after = request.GET.get("after", "")
        number = int(after) if after.isdecimal() and len(after) < 19 else 0
        form = JudgeForm(request.GET, choice=choice)
        context = _preview(project, choice, form, after=number)
    context |= {"project": project}
    return render(request, "annotation/judging/_preview.html", context)


def _given(project: Project, request: SignedInRequest) -> dict[str, Any]:
    """What was sent; before anything was, what the judge is made of whose next version it is."""
    if request.method == "POST":
        return request.POST.dict()
    given: dict[str, Any] = request.GET.dict()
    number = str(given.pop("judge", ""))
    if number.isdecimal() and len(number) < 19:
        judges = Judge.objects.filter(project=project)
        given = choice_of(get_object_or_404(judges, pk=int(number))) | given
    return given


def _chosen(choice: Choice) -> dict[str, Any]:
    return {
        "model": str(choice.model.pk),
        "protocol": choice.protocol.key,
        "kind": choice.kind,
        "template": str(choice.template.pk) if choice.template else "",
    }


def _typed(given: Mapping[str, Any], choice: Choice) -> dict[str, Any]:
    """What was typed before another model, protocol or template was chosen.

    Defaults of what was chosen before were not typed, and give way to the new ones.
    """
    key, _, suggested = str(given.get("built_for", "")).partition("|")
    name = {"name": given["name"]} if given.get("name") not in (None, "", suggested) else {}
    if key not in ("", choice.key):
        return name
    settings = {one: value for one, value in given.items() if one.startswith(SETTING_PREFIX)}
    if key:
        # A box that is not ticked is not sent.
        ticks = [one for one, value in choice.defaults.items() if isinstance(value, bool)]
        settings |= {SETTING_PREFIX + one: f"{SETTING_PREFIX}{one}" in given for one in ticks}
    return settings | name


def _create(
    request: SignedInRequest, project: Project, choice: Choice, form: JudgeForm
) -> Judge | None:
    """None when it was refused; the form says why by then."""
    try:
        settings = JudgeSettings.from_dict(choice.defaults | form.settings())
        return create_judge(
            project=project,
            name=form.cleaned_data["name"],
            model=choice.model,
            protocol=choice.protocol.key,
            template=choice.text,
            settings=settings,
            created_by=request.user,
        )
    except PrefloopError as error:
        show_error(form, error)
    except ValueError as error:
        form.refuse(str(error))
    return None


def _preview(project: Project, choice: Choice, form: JudgeForm, *, after: int) -> dict[str, Any]:
    item = item_for_preview(project, choice.kind, after=after)
    try:
        spec = choice.spec(form.so_far(choice))
    except ValueError as error:
        return {"no_preview": str(error)}
    return previewed(spec, choice.kind, item)


def previewed(spec: JudgeSpec, kind: str, item: Item | None) -> dict[str, Any]:
    problems = check_spec(spec, kind)
    if problems:
        return {"no_preview": " ".join(problems)}
    if item is None:
        return {"no_preview": NO_ITEM}
    try:
        return {"preview": preview(spec, item)}
    except ValueError as error:
        return {"no_preview": str(error)}
