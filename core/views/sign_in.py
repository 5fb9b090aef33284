"""Signing in, with a limited number of tries, and out; both are audited."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from core.access import public
from core.forms import SignInForm
from core.models import User
from core.services.audit import record_event
from core.services.sign_in import TooManyTries
from core.sign_in_limits import remember_device


def locked_page(request: HttpRequest, error: TooManyTries) -> HttpResponse:
    left = (error.until - timezone.now()).total_seconds()
    context = {"until": error.until, "minutes": max(1, round(left / 60))}
    response = render(request, "core/sign_in_locked.html", context, status=error.status)
    response["Retry-After"] = str(max(1, round(left)))
    return response


class SignIn(LoginView):
    template_name = "core/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().post(request, *args, **kwargs)
        except TooManyTries as error:
            return locked_page(request, error)

    def form_valid(self, form: SignInForm) -> HttpResponse:  # type: ignore[override]
        user = form.get_user()
        response = super().form_valid(form)
        record_event(actor=user, action="sign_in", target=user)
        remember_device(self.request, response, user.username)
        return response


class SignOut(LogoutView):
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if isinstance(request.user, User):
            record_event(actor=request.user, action="sign_out", target=request.user)
        return super().post(request, *args, **kwargs)


sign_in = public(SignIn.as_view())
sign_out = public(SignOut.as_view())
