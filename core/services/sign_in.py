"""Whether a name and a password belong together, asked a limited number of times."""

from __future__ import annotations

import logging
from datetime import datetime

from django.conf import settings
from django.contrib.auth import authenticate
from django.db import connection, transaction
from django.http import HttpRequest

from core.addresses import client_address
from core.errors import Conflict, PrefloopError
from core.models import User
from core.services.audit import record_event
from core.sign_in_limits import (
    UNKNOWN,
    account_key,
    count_by_device,
    device_of,
    forget_tries,
    locked_until,
)

logger = logging.getLogger(__name__)


class TooManyTries(PrefloopError):
    code = "too_many_tries"
    status = 429

    def __init__(self, until: datetime) -> None:
        super().__init__(f"Too many wrong passwords. Try again after {until:%H:%M} UTC.")
        self.until = until


def try_password(*, request: HttpRequest, username: str, password: str) -> User | None:
    """The user, or None when name and password do not belong together; all tries are counted."""
    count_by_device(request, username)
    with transaction.atomic():
        _one_at_a_time(f"{account_key(username)}{device_of(request, username)}")
        user = authenticate(request, username=username, password=password)
        if user is None:
            _record_failure(request, username)
        elif device_of(request, username) != UNKNOWN:
            forget_tries(username, device=device_of(request, username))
    if user is None and request.axes_locked_out:  # type: ignore[attr-defined]
        raise TooManyTries(locked_until(request, username))
    return user


def _one_at_a_time(key: str) -> None:
    """Many guesses at once would all pass before the first one is counted."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [key])
        row = cursor.fetchone()
    if row is None or not row[0]:
        raise Conflict("Another sign-in to this account is being checked. Try again.")


def _record_failure(request: HttpRequest, username: str) -> None:
    """Of accounts that exist; the trail would otherwise keep whatever anybody types."""
    user = User.objects.filter(username__iexact=username).first()
    counted = request.axes_failures_since_start  # type: ignore[attr-defined]
    if user is None or counted is None:
        return
    is_locked = counted >= settings.AXES_FAILURE_LIMIT
    if is_locked:
        # In the log, which is thrown away in time; the audit trail keeps no addresses.
        logger.warning("Sign-in of user %s locked, last try: %s", user.pk, client_address(request))
    action = "lock_sign_in" if is_locked else "fail_sign_in"
    record_event(actor=None, action=action, target=user)
