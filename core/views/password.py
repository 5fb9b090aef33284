"""Where the link for a new password leads. Django moves its token into the session at once."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.views import INTERNAL_RESET_SESSION_TOKEN, PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect

from core.access import public
from core.forms import ChoosePasswordForm
from core.models import User
from core.password_links import link_tokens
from core.services.user import set_password


class ChoosePassword(PasswordResetConfirmView):
    template_name = "core/choose_password.html"
    form_class = ChoosePasswordForm
    token_generator = link_tokens

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        # Only the bare origin leaves this page, which its own form needs.
        response["Referrer-Policy"] = "strict-origin"
        return response

    def get_user(self, uidb64: str) -> User | None:
        user = super().get_user(uidb64)
        return user if isinstance(user, User) and user.is_active else None

    def form_valid(self, form: SetPasswordForm[User]) -> HttpResponse:
        set_password(user=form.user, password=form.cleaned_data["new_password1"], actor=form.user)
        del self.request.session[INTERNAL_RESET_SESSION_TOKEN]
        messages.success(self.request, "Your password is set. Sign in with it.")
        return redirect("core:sign-in")


choose_password = public(ChoosePassword.as_view())
