"""The account page: tokens for programs, and the password."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from core.access import SignedInRequest, signed_in
from core.forms import OwnPasswordForm, TokenForm
from core.models import ApiToken
from core.services.api_token import create_api_token, revoke_api_token
from core.services.user import set_password


def render_account(
    request: SignedInRequest,
    *,
    token_form: TokenForm | None = None,
    password_form: OwnPasswordForm | None = None,
    new_token: str = "",
) -> HttpResponse:
    context = {
        "tokens": ApiToken.objects.visible_to(request.user),
        "token_form": token_form or TokenForm(user=request.user),
        "password_form": password_form or OwnPasswordForm(request),
        "new_token": new_token,
    }
    is_refused = any(form is not None and form.errors for form in (token_form, password_form))
    return render(request, "core/account.html", context, status=422 if is_refused else 200)


@signed_in
@require_GET
@never_cache
def account(request: SignedInRequest) -> HttpResponse:
    return render_account(request)


@signed_in
@require_POST
@never_cache
def create_token(request: SignedInRequest) -> HttpResponse:
    """The token is in this reply and nowhere else, so there is no redirect."""
    form = TokenForm(request.POST, user=request.user)
    if not form.is_valid():
        return render_account(request, token_form=form)
    given = form.cleaned_data
    _, token = create_api_token(
        user=request.user, name=given["name"], scopes=given["scopes"], days=given["days"] or None
    )
    return render_account(request, new_token=token)


@signed_in
@require_POST
def revoke_token(request: SignedInRequest, token_id: int) -> HttpResponse:
    token = get_object_or_404(ApiToken.objects.visible_to(request.user), pk=token_id)
    revoke_api_token(token=token)
    messages.success(request, f"“{token.name}” can no longer be used.")
    return redirect("core:account")


@signed_in
@require_POST
@sensitive_post_parameters()
def change_password(request: SignedInRequest) -> HttpResponse:
    form = OwnPasswordForm(request, request.POST)
    if not form.is_valid():
        return render_account(request, password_form=form)
    user = set_password(
        user=request.user, password=form.cleaned_data["new_password1"], actor=request.user
    )
    update_session_auth_hash(request, user)
    messages.success(request, "Your password is changed, and you are signed out elsewhere.")
    return redirect("core:account")
