"""The start page, light and dark, and whether the process is well."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from django.views.defaults import page_not_found

from core import health
from core.access import public

THEMES = ("light", "dark", "auto")
ONE_YEAR = 365 * 24 * 3600
RETRY_SECONDS = 2
API_ERRORS = {
    500: ("error", "Our mistake. Try again in a moment; if it stays, ask for a look at the log."),
    503: ("unavailable", "The database does not answer just now. Try again in some seconds."),
}


@public
@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


@public
@require_GET
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    problems = health.problems()
    body = {"ready": not problems, "problems": problems}
    return JsonResponse(body, status=503 if problems else 200)


@public
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    template = "core/home.html" if request.user.is_authenticated else "core/welcome.html"
    return render(request, template)


@public
@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    theme, back = request.POST.get("theme", ""), request.POST.get("next", "/")
    if theme not in THEMES:
        return HttpResponseBadRequest("The theme is light, dark or auto.")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}):
        back = "/"
    response = redirect(back)
    response.set_cookie(
        "theme", theme, max_age=ONE_YEAR, samesite="Lax", secure=request.is_secure()
    )
    return response


@public
def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not request.path.startswith("/api/"):
        return page_not_found(request, exception)
    known = "The documentation at /api/docs/ lists every address."
    return _api_error(404, "not_found", f"There is nothing at {request.path}. {known}")


@public
def server_error(request: HttpRequest) -> HttpResponse:
    """A database that is away comes back by itself: that is said, with when to try again."""
    is_away = isinstance(sys.exception(), OperationalError | InterfaceError)
    status = 503 if is_away else 500
    if request.path.startswith("/api/"):
        reply = _api_error(status, *API_ERRORS[status])
    else:
        reply = HttpResponse(render_to_string(f"{status}.html"), status=status)
    if is_away:
        reply["Retry-After"] = str(RETRY_SECONDS)
    return reply


def _api_error(status: int, code: str, detail: str) -> HttpResponse:
    return JsonResponse({"code": code, "detail": detail}, status=status)
