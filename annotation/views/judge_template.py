"""One's own texts for judges: written in the browser, checked and shown on a real item."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.access import Capability, project_view
from annotation.forms import show_error
from annotation.judge_template_form import TemplateForm, TryForm, placeholders_of
from annotation.judging.own_template import check_template
from annotation.judging.protocol import JudgeSpec, get_protocol
from annotation.judging.protocols.base import Template
from annotation.models import Judge, JudgeTemplate, Project
from annotation.selectors.judge_choice import OWN, newest_templates
from annotation.selectors.judge_preview import item_for_preview
from annotation.services.judge_template import draft_judge, save_template
from annotation.views.judge_form import previewed
from core.access import SignedInRequest
from core.errors import PrefloopError

# A longer number is none of a row.
DIGITS = 19


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def templates(request: SignedInRequest, project: Project) -> HttpResponse:
    context = {"project": project, "templates": newest_templates(project)}
    return render(request, "annotation/judging/templates.html", context)


@project_view(Capability.RESEARCH)
@require_http_methods(["GET", "POST"])
@never_cache
def new_template(request: SignedInRequest, project: Project) -> HttpResponse:
    initial = _draft(project, request) or TemplateForm.first(project, request.GET)
    form = TemplateForm(request.POST or None, project=project, initial=initial)
    return _editor(request, project, form)


def _draft(project: Project, request: SignedInRequest) -> dict[str, str]:
    """The text of a trial, to go on with."""
    number = request.GET.get("draft", "")
    if not (number.isdecimal() and len(number) < DIGITS):
        return {}
    drafts = Judge.objects.filter(project=project, origin=Judge.Origin.DRAFT)
    return TemplateForm.values_of_draft(project, get_object_or_404(drafts, pk=int(number)))


@project_view(Capability.RESEARCH)
@require_http_methods(["GET", "POST"])
@never_cache
def template(request: SignedInRequest, project: Project, template_id: int) -> HttpResponse:
    """A saved one is never changed: saving it otherwise makes the next version."""
    found = get_object_or_404(JudgeTemplate, project=project, pk=template_id)
    form = TemplateForm(
        request.POST or None, project=project, initial=TemplateForm.values_of(found)
    )
    return _editor(request, project, form, found)


def _editor(
    request: SignedInRequest,
    project: Project,
    form: TemplateForm,
    found: JudgeTemplate | None = None,
) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        try:
            saved = save_template(project=project, actor=request.user, **form.cleaned_data)
        except PrefloopError as error:
            show_error(form, error)
        else:
            messages.success(request, f"Saved: {saved}. Make a judge of it to try it.")
            return redirect("annotation:judge-template", project.pk, saved.pk)
    return _page(request, project, form, found)


def _page(
    request: SignedInRequest,
    project: Project,
    form: TemplateForm,
    found: JudgeTemplate | None,
    try_form: TryForm | None = None,
) -> HttpResponse:
    context: dict[str, Any] = {"project": project, "form": form, "template": found}
    context |= _looked_at(project, form.so_far()) | {"try_form": try_form or TryForm()}
    if found is not None:
        rows = project.judge_templates.filter(name=found.name)
        context["versions"] = rows.select_related("created_by").order_by("-version")
    status = 422 if request.method == "POST" else 200
    return render(request, "annotation/judging/template.html", context, status=status)


@project_view(Capability.RESEARCH)
@require_POST
def try_template(request: SignedInRequest, project: Project) -> HttpResponse:
    """The text as it stands becomes a draft, whose trial tells its cost before it starts."""
    form, chosen = TemplateForm(request.POST, project=project), TryForm(request.POST)
    # A name is not needed yet, nor one that is free.
    form.fields["name"].required = False
    if form.is_valid() and chosen.is_valid():
        try:
            draft = draft_judge(
                project=project, actor=request.user, **form.cleaned_data, **chosen.cleaned_data
            )
        except PrefloopError as error:
            show_error(form, error)
        else:
            return redirect("annotation:judge-try", project.pk, draft.pk)
    return _page(request, project, form, None, chosen)


@project_view(Capability.RESEARCH)
@require_POST
@never_cache
def check(request: SignedInRequest, project: Project) -> HttpResponse:
    """What is wrong with the texts as they stand, else what would be sent; nothing is kept."""
    texts = TemplateForm(request.POST, project=project).so_far()
    context = {"project": project} | _looked_at(project, texts)
    return render(request, "annotation/judging/_template_check.html", context)


def _looked_at(project: Project, texts: dict[str, str]) -> dict[str, Any]:
    kind = texts["kind"]
    problems = check_template(kind, texts["answer_format"], texts["system"], texts["body"])
    found = {"problems": problems, "placeholders": placeholders_of(kind)}
    if problems:
        return found
    protocol = get_protocol(OWN)
    spec = JudgeSpec(
        protocol=OWN,
        protocol_version=protocol.version,
        template=Template(texts["system"], texts["body"], texts["answer_format"]).to_json(),
        settings=protocol.defaults,
        model_name="",
    )
    return found | previewed(spec, kind, item_for_preview(project, kind))
