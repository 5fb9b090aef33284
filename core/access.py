"""Every route declares who may use it. A test walks all routes and refuses one that does not."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from core.errors import NotAllowed
from core.models import User

View = Callable[..., HttpResponseBase]


class SignedInRequest(HttpRequest):
    """For type checkers: behind these decorators there is a user."""

    user: User


def declare(view: View, policy: str) -> View:
    view.policy = policy  # type: ignore[attr-defined]
    return view


def public(view: View) -> View:
    return declare(view, "public")


def signed_in(view: View) -> View:
    return declare(login_required(view), "signed in")


def admin_only(view: View) -> View:
    @wraps(view)
    def guarded(request: SignedInRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_admin:
            raise NotAllowed("Only an admin of this instance may do this. Ask one.")
        return view(request, *args, **kwargs)

    return declare(login_required(guarded), "admin")
