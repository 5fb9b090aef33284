"""How many wrong passwords an account stands. django-axes counts; here is what it counts by.

By account and device. A device is known to an account once somebody has signed in to it there: a
signed cookie says so. Each known device has a count of its own, and all unknown ones share one. So
a guesser gets ten tries in a quarter of an hour however many addresses they have, cannot lock an
owner out of the devices that the owner uses, and people behind one address never lock each other
out. Neither names (somebody's password, typed in the wrong field) nor addresses are kept.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.crypto import salted_hmac

UNKNOWN = "unknown"
SALT = "prefloop.device"
ONE_YEAR = 365 * 24 * 3600
# On one device these many accounts are remembered, the newest.
MOST_ACCOUNTS = 5


def account_key(username: str) -> str:
    """The same for all spellings that sign in to one account."""
    plain = unicodedata.normalize("NFKC", username).lower()
    return salted_hmac("prefloop.account", plain).hexdigest()


def counted_name(request: HttpRequest, credentials: Mapping[str, Any] | None) -> str:
    """What axes calls the user name."""
    return account_key(str((credentials or {}).get("username") or ""))


def no_address(request: HttpRequest) -> None:
    """What axes calls the address of the client: nothing is counted by it."""


def count_by_device(request: HttpRequest, username: str) -> None:
    """What axes calls the user agent is the device."""
    AxesProxyHandler.update_request(request)
    request.axes_user_agent = device_of(request, username)  # type: ignore[attr-defined]


def device_of(request: HttpRequest, username: str) -> str:
    device, accounts = _read(request)
    return device if account_key(username) in accounts else UNKNOWN


def remember_device(request: HttpRequest, response: HttpResponseBase, username: str) -> None:
    device, accounts = _read(request)
    key = account_key(username)
    accounts = [key, *(one for one in accounts if one != key)][:MOST_ACCOUNTS]
    response.set_cookie(
        settings.DEVICE_COOKIE_NAME,
        signing.dumps([device, accounts], salt=SALT),
        max_age=ONE_YEAR,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def locked_until(request: HttpRequest, username: str) -> datetime:
    newest = (
        AccessAttempt.objects.filter(
            username=account_key(username), user_agent=device_of(request, username)
        )
        .order_by("-attempt_time")
        .first()
    )
    cool_off: timedelta = settings.AXES_COOLOFF_TIME
    return (newest.attempt_time if newest else timezone.now()) + cool_off


def forget_tries(username: str, *, device: str | None = None) -> None:
    """After a sign-in from a known device, or a new password: its owner is there."""
    tries = AccessAttempt.objects.filter(username=account_key(username))
    (tries if device is None else tries.filter(user_agent=device)).delete()


def _read(request: HttpRequest) -> tuple[str, list[str]]:
    """Of a cookie that is missing or forged: a new device that no account knows."""
    try:
        device, accounts = signing.loads(
            request.COOKIES.get(settings.DEVICE_COOKIE_NAME, ""), salt=SALT, max_age=ONE_YEAR
        )
    except (signing.BadSignature, ValueError):
        return secrets.token_urlsafe(12), []
    return device, accounts
