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
from annotation.judge_template_form import TemplateForm, placeholders_of
from annotation.judging.own_template import check_template
from annotation.judging.protocol import JudgeSpec, get_protocol
from annotation.judging.protocols.base import Template
from annotation.models import JudgeTemplate, Project
from annotation.selectors.judge_choice import OWN, newest_templates
from annotation.selectors.judge_preview import item_for_preview
from annotation.services.judge_template import save_template
from annotation.views.judge_form import previewed
from core.access import SignedInRequest
from core.errors import PrefloopError


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
    form = TemplateForm(
        request.POST or None, project=project, initial=TemplateForm.first(project, request.GET)
    )
    return _editor(request, project, form)


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
    texts = form.so_far()
    context: dict[str, Any] = {"project": project, "form": form, "template": found}
    context |= _looked_at(project, texts)
    if found is not None:
        rows = project.judge_templates.filter(name=found.name)
        context["versions"] = rows.select_related("created_by").order_by("-version")
    status = 422 if request.method == "POST" else 200
    return render(request, "annotation/judging/template.html", context, status=status)


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
