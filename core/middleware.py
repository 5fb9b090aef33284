"""What htmx needs to be told apart: errors as messages in a swap, and sessions that have ended."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url
from django_htmx.http import HttpResponseClientRedirect

from core.errors import PrefloopError


class ErrorMiddleware:
    """Shows a PrefloopError of an HTML view as a page, or as a message inside an htmx swap."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if getattr(request, "htmx", False) and asks_to_sign_in(response):
            return sign_in_and_return(request)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, PrefloopError):
            return None
        template = "core/_error.html" if getattr(request, "htmx", False) else "core/error.html"
        return render(request, template, {"error": error}, status=error.status)


def asks_to_sign_in(response: HttpResponse) -> bool:
    target = response.headers.get("Location", "")
    return response.status_code == 302 and target.startswith(resolve_url(settings.LOGIN_URL))


def sign_in_and_return(request: HttpRequest) -> HttpResponse:
    """The whole page goes to sign in: followed, the redirect would land inside the swap."""
    page = request.htmx.current_url_abs_path or "/"  # type: ignore[attr-defined]
    query = urlencode({"next": page})
    return HttpResponseClientRedirect(f"{resolve_url(settings.LOGIN_URL)}?{query}")
