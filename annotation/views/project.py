"""A project's own pages: the list, the overview, its making, its settings and protocol."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.forms import BaseFormSet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.access import Capability, project_view
from annotation.forms import (
    CriterionForm,
    CriterionFormSet,
    NewProjectForm,
    ProtocolForm,
    SettingsForm,
    criteria_of,
    show_error,
)
from annotation.models import Project
from annotation.pause_form import PauseRulesForm
from annotation.selectors.pause import pause_of
from annotation.selectors.project import (
    Progress,
    funnel,
    progress_of,
    projects_where,
    roles_of,
)
from annotation.services.pause_rules import set_pause_rules
from annotation.services.project import create_project, revise_protocol, update_project
from core.access import SignedInRequest, signed_in
from core.errors import NotAllowed, PrefloopError

PROJECTS_A_PAGE = 50
PROJECTS_AT_HOME = 8
FIRST_CRITERION = {"name": "Overall", "definition": "Which response is better, all in all?"}


def _with_progress(request: SignedInRequest, projects: list[Project]) -> list[dict[str, Any]]:
    progress, roles = progress_of(projects), roles_of(request.user, projects)
    return [
        {
            "project": project,
            "progress": progress.get(project.pk, Progress()),
            "membership": roles.get(project.pk),
        }
        for project in projects
    ]


@signed_in
@require_GET
def projects(request: SignedInRequest) -> HttpResponse:
    visible = Project.objects.visible_to(request.user).filter(archived_at=None)
    page = Paginator(visible, PROJECTS_A_PAGE).get_page(request.GET.get("page"))
    rows = _with_progress(request, list(page.object_list))
    return render(request, "annotation/projects.html", {"page": page, "rows": rows})


@signed_in
@require_GET
@never_cache
def home_projects(request: SignedInRequest) -> HttpResponse:
    """A part of the home page; empty for those who only judge."""
    mine = projects_where(request.user, Capability.RESEARCH)
    found = list(mine[: PROJECTS_AT_HOME + 1])
    context = {
        "rows": _with_progress(request, found[:PROJECTS_AT_HOME]),
        "more": len(found) > PROJECTS_AT_HOME,
    }
    return render(request, "annotation/_home_projects.html", context)


@project_view(None)
@require_GET
@never_cache
def project(request: SignedInRequest, project: Project) -> HttpResponse:
    context: dict[str, Any] = {
        "project": project,
        "protocol": project.protocol,
        "has_work": project.items.filter(is_open=True).exists(),
    }
    if not project.may:
        context["paused"] = pause_of(project.memberships.get(user=request.user))
    if Capability.RESEARCH in project.may:
        context["funnel"] = funnel(project)
    return render(request, "annotation/project.html", context)


@signed_in
@require_http_methods(["GET", "POST"])
def new_project(request: SignedInRequest) -> HttpResponse:
    if not request.user.may_create_projects:
        raise NotAllowed("You may not create projects. An admin of this instance can allow it.")
    form = NewProjectForm(request.POST or None)
    protocol = ProtocolForm(request.POST or None)
    rows = CriterionFormSet(request.POST or None, prefix="criteria", initial=[FIRST_CRITERION])
    if request.method == "POST" and all(part.is_valid() for part in (form, protocol, rows)):
        try:
            made = create_project(
                creator=request.user,
                criteria=criteria_of(rows),
                **form.cleaned_data,
                **protocol.cleaned_data,
            )
        except PrefloopError as error:
            _show(error, form, protocol)
        else:
            messages.success(request, "The project stands. Import prompts and responses next.")
            return redirect("annotation:project", made.pk)
    context = {"form": form, "protocol_form": protocol, "criteria": rows}
    refused = request.method == "POST"
    return render(request, "annotation/new_project.html", context, status=422 if refused else 200)


def _show(error: PrefloopError, form: SettingsForm, protocol: ProtocolForm) -> None:
    show_error(form if error.fields.get("field") in form.fields else protocol, error)


@project_view(Capability.MANAGE)
@require_http_methods(["GET", "POST"])
def settings(request: SignedInRequest, project: Project) -> HttpResponse:
    """Changes the settings; the protocol has a form of its own on the same page."""
    form = SettingsForm(request.POST or None, instance=Project.objects.get(pk=project.pk))
    if request.method == "POST" and form.is_valid():
        try:
            update_project(project=project, actor=request.user, **form.cleaned_data)
        except PrefloopError as error:
            show_error(form, error)
        else:
            messages.success(request, "Settings saved.")
            return redirect("annotation:settings", project.pk)
    return _settings_page(request, project, form=form)


@project_view(Capability.MANAGE)
@require_POST
def protocol(request: SignedInRequest, project: Project) -> HttpResponse:
    form = ProtocolForm(request.POST)
    rows = CriterionFormSet(request.POST, prefix="criteria")
    if form.is_valid() and rows.is_valid():
        try:
            made = revise_protocol(
                project=project,
                actor=request.user,
                criteria=criteria_of(rows),
                **form.cleaned_data,
            )
        except PrefloopError as error:
            show_error(form, error)
        else:
            messages.success(request, f"Saved. Version {made.version} is in force.")
            return redirect("annotation:settings", project.pk)
    return _settings_page(request, project, protocol_form=form, criteria=rows)


@project_view(Capability.MANAGE)
@require_POST
def pause_rules(request: SignedInRequest, project: Project) -> HttpResponse:
    form = PauseRulesForm(request.POST)
    if form.is_valid():
        try:
            set_pause_rules(project=project, actor=request.user, rules=form.rules())
        except PrefloopError as error:
            form.show_error(error)
        else:
            messages.success(request, "Pause rules saved. Who answers from now on is looked at.")
            return redirect("annotation:settings", project.pk)
    return _settings_page(request, project, rules_form=form)


@project_view(Capability.MANAGE)
@require_POST
def shares(request: SignedInRequest, project: Project) -> HttpResponse:
    """What the shares that are typed would come to; nothing is kept."""
    given = {name: request.POST.get(name, "") for name in ("gold_share", "probe_share")}
    typed = {
        name: int(text) if text.isdecimal() and len(text) < 6 else 0 for name, text in given.items()
    }
    return render(request, "annotation/_shares.html", _shares(project, **typed))


def _shares(project: Project, gold_share: int, probe_share: int) -> dict[str, int]:
    """Of 100 items; gold lasts until a person has met all of it."""
    gold, probes = min(gold_share, 100), min(probe_share, 100)
    gold_items = project.items.filter(is_gold=True).count()
    return {
        "gold": gold,
        "probes": min(probes, 100 - gold),
        "fresh": max(0, 100 - gold - probes),
        "gold_items": gold_items,
        "gold_lasts": 100 * gold_items // gold if gold else 0,
    }


def _settings_page(
    request: SignedInRequest,
    project: Project,
    *,
    form: SettingsForm | None = None,
    protocol_form: ProtocolForm | None = None,
    criteria: BaseFormSet[CriterionForm] | None = None,
    rules_form: PauseRulesForm | None = None,
) -> HttpResponse:
    newest = project.protocol
    context = {
        "project": project,
        "protocol": newest,
        "form": form or SettingsForm(instance=project),
        "protocol_form": protocol_form or ProtocolForm(initial=ProtocolForm.values_of(newest)),
        "criteria": criteria or CriterionFormSet(prefix="criteria", initial=newest.criteria),
        "rules_form": rules_form or PauseRulesForm.of(project.pause_rules.all()),
        **_shares(project, project.gold_share, project.probe_share),
    }
    refused = request.method == "POST"
    status = 422 if refused else 200
    return render(request, "annotation/project_settings.html", context, status=status)


@signed_in
@require_POST
def preview(request: SignedInRequest) -> HttpResponse:
    """Markdown as labelers will see it; nothing is kept."""
    text = request.POST.get("guidelines", "")[:100_000]
    return render(request, "annotation/_guidelines.html", {"guidelines": text})
