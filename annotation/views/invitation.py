"""Where an invitation's link leads: one click for who is signed in, a form for a stranger.

The secret goes from the link into the session at once, so that it stands in no address of the
pages that follow and in no Referer. Looking at a link uses nothing up.
"""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods

from annotation.forms import show_error
from annotation.models import Invitation, Membership
from annotation.selectors.invitation import find_invitation, why_closed
from annotation.services.invitation import InvitationClosed, accept_invitation, join_as_stranger
from core.access import public
from core.errors import PrefloopError
from core.forms import SignUpForm
from core.models import User
from core.rate import note_miss
from core.sign_in_limits import remember_device

IN_SESSION = "invitation"
BACKEND = "django.contrib.auth.backends.ModelBackend"


def _private(response: HttpResponse) -> HttpResponse:
    """Only the bare origin leaves this page, which our own forms need."""
    response["Referrer-Policy"] = "strict-origin"
    return response


def _closed(request: HttpRequest, why: str, status: int) -> HttpResponse:
    context = {"why": why}
    return _private(render(request, "annotation/invitation_closed.html", context, status=status))


@public
@require_GET
@never_cache
def open_invitation(request: HttpRequest, secret: str) -> HttpResponse:
    invitation = find_invitation(secret)
    if invitation is None:
        note_miss(request, "invitation")
        return _closed(request, "", 404)
    request.session[IN_SESSION] = invitation.pk
    return _private(redirect("annotation:join"))


@public
@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters("password", "again")
def join(request: HttpRequest) -> HttpResponse:
    rows = Invitation.objects.select_related("project", "created_by")
    invitation = rows.filter(pk=request.session.get(IN_SESSION, 0)).first()
    if invitation is None:
        return _closed(request, "", 404)
    if isinstance(request.user, User):
        return _join_as_oneself(request, invitation, request.user)
    if why := why_closed(invitation):
        return _closed(request, why, 410)
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return _sign_up(request, invitation, form)
    if form.is_bound:
        note_miss(request, "sign-up", most=100)
    return _page(request, invitation, form=form)


def _page(
    request: HttpRequest,
    invitation: Invitation,
    *,
    form: SignUpForm | None = None,
    known: Membership | None = None,
) -> HttpResponse:
    context = {"invitation": invitation, "form": form, "known": known}
    status = 422 if form is not None and form.errors else 200
    return _private(render(request, "annotation/invitation.html", context, status=status))


def _join_as_oneself(request: HttpRequest, invitation: Invitation, user: User) -> HttpResponse:
    known = Membership.objects.filter(project=invitation.project, user=user).first()
    why = why_closed(invitation)
    if why and known is None:
        return _closed(request, why, 410)
    if request.method == "GET":
        return _page(request, invitation, known=known)
    try:
        membership = accept_invitation(invitation=invitation, user=user)
    except InvitationClosed:
        return _closed(request, why_closed(invitation), 410)
    return _welcome(request, membership)


def _sign_up(request: HttpRequest, invitation: Invitation, form: SignUpForm) -> HttpResponse:
    given = {name: form.cleaned_data[name] for name in ("username", "password", "name")}
    try:
        membership = join_as_stranger(invitation=invitation, **given)
    except InvitationClosed:
        return _closed(request, why_closed(invitation), 410)
    except PrefloopError as error:
        show_error(form, error)
        return _page(request, invitation, form=form)
    login(request, membership.user, backend=BACKEND)
    response = _welcome(request, membership)
    remember_device(request, response, membership.user.username)
    return response


def _welcome(request: HttpRequest, membership: Membership) -> HttpResponse:
    request.session.pop(IN_SESSION, None)
    project, role = membership.project, membership.role
    messages.success(request, f"You are a {role} in “{project}”.")
    if role == Membership.Role.LABELER:
        return redirect("core:home")
    return redirect("annotation:project", project.pk)
