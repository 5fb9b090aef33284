"""The people of this instance: for its admins."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.forms import show_error
from annotation.selectors.people import answers_of, everybody, only_manager_of, with_memberships
from annotation.services.forget_user import deactivate_person, forget_user
from core.access import SignedInRequest, admin_only
from core.addresses import absolute_url
from core.errors import PrefloopError
from core.forms import NewPersonForm
from core.models import User
from core.password_links import has_open_link
from core.services.account import (
    make_password_link,
    reactivate_user,
    set_rights,
    withdraw_password_link,
)
from core.services.user import create_user

PAGE = 50


@admin_only
@require_GET
@never_cache
def people(request: SignedInRequest) -> HttpResponse:
    search = request.GET.get("search", "").replace("\0", "").strip()[:150]
    page = Paginator(everybody(search), PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "people": with_memberships(list(page.object_list)),
        "search": search,
        "query": urlencode({"search": search}) + "&" if search else "",
    }
    return render(request, "annotation/everybody.html", context)


@admin_only
@require_http_methods(["GET", "POST"])
@never_cache
def new_person(request: SignedInRequest) -> HttpResponse:
    """Nobody but the person ever knows the password: they choose it by a link."""
    form = NewPersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = create_user(password=None, actor=request.user, **form.cleaned_data)
        except PrefloopError as error:
            show_error(form, error)
        else:
            return _with_link(request, user)
    context = {"form": form}
    return render(
        request, "annotation/new_person.html", context, status=422 if form.errors else 200
    )


@admin_only
@require_GET
@never_cache
def person(request: SignedInRequest, user_id: int) -> HttpResponse:
    return _page(request, _load(user_id))


@admin_only
@require_POST
@never_cache
def password_link(request: SignedInRequest, user_id: int) -> HttpResponse:
    """The link is in this reply and nowhere else, so there is no redirect."""
    return _with_link(request, _load(user_id))


@admin_only
@require_POST
def withdraw_link(request: SignedInRequest, user_id: int) -> HttpResponse:
    user = withdraw_password_link(user=_load(user_id), actor=request.user)
    messages.success(request, f"No link for a new password of {user} is open any more.")
    return redirect("annotation:person", user.pk)


@admin_only
@require_POST
def rights(request: SignedInRequest, user_id: int) -> HttpResponse:
    user = set_rights(
        user=_load(user_id),
        is_admin="is_admin" in request.POST,
        can_create_projects="can_create_projects" in request.POST,
        actor=request.user,
    )
    messages.success(request, f"The rights of {user} are changed.")
    return redirect("annotation:person", user.pk)


@admin_only
@require_POST
def deactivate(request: SignedInRequest, user_id: int) -> HttpResponse:
    user = deactivate_person(user=_load(user_id), actor=request.user)
    messages.success(request, f"{user} is signed out everywhere and can no longer sign in.")
    return redirect("annotation:person", user.pk)


@admin_only
@require_POST
def reactivate(request: SignedInRequest, user_id: int) -> HttpResponse:
    user = reactivate_user(user=_load(user_id), actor=request.user)
    messages.success(request, f"{user} can sign in again, with the password as it was.")
    return redirect("annotation:person", user.pk)


@admin_only
@require_POST
def forget(request: SignedInRequest, user_id: int) -> HttpResponse:
    user, typed = _load(user_id), request.POST.get("confirmation", "")
    try:
        forget_user(user=user, actor=request.user, confirmation=typed)
    except PrefloopError as error:
        return _page(request, _load(user_id), refusal=error.message, typed=typed, status=422)
    messages.success(request, "The person is forgotten. What they answered stays.")
    return redirect("annotation:everybody")


def _load(user_id: int) -> User:
    return get_object_or_404(everybody(), pk=user_id)


def _with_link(request: SignedInRequest, user: User) -> HttpResponse:
    path = make_password_link(user=user, actor=request.user)
    return _page(request, _load(user.pk), new_link=absolute_url(request, path))


def _page(request: SignedInRequest, user: User, *, status: int = 200, **more: Any) -> HttpResponse:
    context = {
        "person": with_memberships([user])[0],
        "answers": answers_of(user),
        "tokens": user.api_tokens.filter(revoked_at=None).count(),
        "only_manager_of": only_manager_of(user),
        "is_self": user == request.user,
        "has_open_link": has_open_link(user),
        **more,
    }
    return render(request, "annotation/person.html", context, status=status)
