"""Pages for what a view refuses, and what htmx needs told apart: messages in a swap, and sessions
that have ended."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url
from django.urls import is_valid_path
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
        if response.status_code == 405 and request.method == "GET" and _is_page(request):
            return _only_for_forms(request, response)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, PrefloopError):
            return None
        template = "core/_error.html" if getattr(request, "htmx", False) else "core/error.html"
        return render(request, template, {"error": error}, status=error.status)


def _is_page(request: HttpRequest) -> bool:
    return not request.path.startswith("/api/")


def _only_for_forms(request: HttpRequest, refusal: HttpResponse) -> HttpResponse:
    """An address that only takes forms was opened: after signing in again, say, or from a note."""
    response = render(request, "405.html", {"above": page_above(request.path)}, status=405)
    response.headers["Allow"] = refusal.headers["Allow"]
    return response


def page_above(path: str) -> str:
    """The nearest address above that leads somewhere: what a form does lies below its page."""
    parts = path.strip("/").split("/")
    paths = (f"/{'/'.join(parts[:end])}/" for end in range(len(parts) - 1, 0, -1))
    return next((above for above in paths if is_valid_path(above)), "/")


def asks_to_sign_in(response: HttpResponse) -> bool:
    target = response.headers.get("Location", "")
    return response.status_code == 302 and target.startswith(resolve_url(settings.LOGIN_URL))


def sign_in_and_return(request: HttpRequest) -> HttpResponse:
    """The whole page goes to sign in: followed, the redirect would land inside the swap."""
    page = request.htmx.current_url_abs_path or "/"  # type: ignore[attr-defined]
    query = urlencode({"next": page})
    return HttpResponseClientRedirect(f"{resolve_url(settings.LOGIN_URL)}?{query}")
