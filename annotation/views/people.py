"""Who works in a project: adding, roles, pausing, removing."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.access import MAY, Capability, project_view
from annotation.forms import PersonForm, show_error
from annotation.models import Membership, Project
from annotation.selectors.project import members, other_sources
from annotation.services.membership import (
    pause_member,
    remove_member,
    restore_member,
    set_membership,
)
from core.access import SignedInRequest
from core.errors import PrefloopError


def _page(
    request: SignedInRequest, project: Project, form: PersonForm | None = None
) -> HttpResponse:
    context = {
        "project": project,
        "members": members(project),
        "sources": other_sources(project),
        "form": form or PersonForm(),
        "roles": Membership.Role.values,
        "may": {role: sorted(may) for role, may in MAY.items()},
    }
    return render(request, "annotation/people.html", context, status=422 if form else 200)


def _load(project: Project, user_id: int) -> Membership:
    found = project.memberships.select_related("user", "project").filter(user_id=user_id).first()
    if found is None:
        raise Http404
    return found


@project_view(Capability.MANAGE)
@require_GET
@never_cache
def people(request: SignedInRequest, project: Project) -> HttpResponse:
    return _page(request, project)


@project_view(Capability.MANAGE)
@require_POST
def add_person(request: SignedInRequest, project: Project) -> HttpResponse:
    form = PersonForm(request.POST)
    if not form.is_valid():
        return _page(request, project, form)
    user, role = form.cleaned_data["username"], form.cleaned_data["role"]
    try:
        set_membership(project=project, user=user, role=role, actor=request.user)
    except PrefloopError as error:
        show_error(form, error)
        return _page(request, project, form)
    messages.success(request, f"{user} is a {role} here.")
    return redirect("annotation:people", project.pk)


@project_view(Capability.MANAGE)
@require_POST
def change_role(request: SignedInRequest, project: Project, user_id: int) -> HttpResponse:
    member, role = _load(project, user_id), request.POST.get("role", "")
    set_membership(project=project, user=member.user, role=role, actor=request.user)
    messages.success(request, f"{member.user} is a {role} now.")
    return redirect("annotation:people", project.pk)


@project_view(Capability.MANAGE)
@require_POST
def pause_person(request: SignedInRequest, project: Project, user_id: int) -> HttpResponse:
    reason = request.POST.get("reason", "").strip()
    member = pause_member(membership=_load(project, user_id), actor=request.user, reason=reason)
    messages.success(request, f"{member.user} is paused, and sees the reason.")
    return redirect("annotation:people", project.pk)


@project_view(Capability.MANAGE)
@require_POST
def restore_person(request: SignedInRequest, project: Project, user_id: int) -> HttpResponse:
    member = restore_member(membership=_load(project, user_id), actor=request.user)
    messages.success(request, f"{member.user} may work again.")
    return redirect("annotation:people", project.pk)


@project_view(Capability.MANAGE)
@require_POST
def remove_person(request: SignedInRequest, project: Project, user_id: int) -> HttpResponse:
    member = remove_member(membership=_load(project, user_id), actor=request.user)
    messages.success(request, f"{member.user} has left; the judgments stay. Add them to undo.")
    return redirect("annotation:people", project.pk)
