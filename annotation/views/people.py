"""Who works in a project: adding, inviting, roles, pausing, removing."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.access import MAY, Capability, project_view
from annotation.forms import InvitationForm, PersonForm, show_error
from annotation.models import Membership, Project
from annotation.selectors.invitation import invitations_of, why_closed
from annotation.selectors.project import members, other_sources
from annotation.services.invitation import create_invitation, revoke_invitation
from annotation.services.membership import (
    pause_member,
    remove_member,
    restore_member,
    set_membership,
)
from core.access import SignedInRequest
from core.addresses import absolute_url
from core.errors import PrefloopError

MOST_SHOWN = 50
# Two forms of the page have a role.
INVITE_ID = "invite_%s"


def _page(
    request: SignedInRequest,
    project: Project,
    *,
    form: PersonForm | None = None,
    invitation_form: InvitationForm | None = None,
    new_link: str = "",
) -> HttpResponse:
    context = {
        "project": project,
        "members": members(project),
        "sources": other_sources(project),
        "form": form or PersonForm(),
        "invitation_form": invitation_form or InvitationForm(auto_id=INVITE_ID),
        "invitations": [(one, why_closed(one)) for one in invitations_of(project)[:MOST_SHOWN]],
        "new_link": new_link,
        "roles": Membership.Role.values,
        "may": {role: sorted(may) for role, may in MAY.items()},
    }
    is_refused = form is not None or invitation_form is not None
    return render(request, "annotation/people.html", context, status=422 if is_refused else 200)


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
        return _page(request, project, form=form)
    user, role = form.cleaned_data["username"], form.cleaned_data["role"]
    try:
        set_membership(project=project, user=user, role=role, actor=request.user)
    except PrefloopError as error:
        show_error(form, error)
        return _page(request, project, form=form)
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


@project_view(Capability.MANAGE)
@require_http_methods(["GET", "POST"])
@never_cache
def invite(request: SignedInRequest, project: Project) -> HttpResponse:
    """The link is in this reply and nowhere else, so there is no redirect. Who asks for the
    address again is led to the people, and makes no second link."""
    if request.method == "GET":
        return redirect("annotation:people", project.pk)
    form = InvitationForm(request.POST, auto_id=INVITE_ID)
    if not form.is_valid():
        return _page(request, project, invitation_form=form)
    try:
        _, secret = create_invitation(project=project, actor=request.user, **form.cleaned_data)
    except PrefloopError as error:
        show_error(form, error)
        return _page(request, project, invitation_form=form)
    link = absolute_url(request, reverse("annotation:invitation", args=[secret]))
    return _page(request, project, new_link=link)


@project_view(Capability.MANAGE)
@require_POST
def withdraw_invitation(
    request: SignedInRequest, project: Project, invitation_id: int
) -> HttpResponse:
    invitation = get_object_or_404(invitations_of(project), pk=invitation_id)
    revoke_invitation(invitation=invitation, actor=request.user)
    messages.success(request, "The link leads nowhere now. Who has joined by it stays.")
    return redirect("annotation:people", project.pk)
