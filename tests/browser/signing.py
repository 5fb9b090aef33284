"""Puts a browser into the session of a user, without the sign-in page; and out of it in peace."""

from __future__ import annotations

import time
from weakref import WeakKeyDictionary

from django.db import connection
from django.test import Client
from playwright.sync_api import BrowserContext, Request

from core.models import User

# Requests that pages send on their own, by context: one that is still with the server when the
# test's database is emptied would deadlock with that.
_pending: WeakKeyDictionary[BrowserContext, set[Request]] = WeakKeyDictionary()
LONGEST_WAIT = 2000


def sign_in(context: BrowserContext, user: User, url: str) -> None:
    if context not in _pending:
        pending = _pending.setdefault(context, set())
        context.on("request", lambda request: pending.add(request))
        context.on("requestfinished", lambda request: pending.discard(request))
        context.on("requestfailed", lambda request: pending.discard(request))
    client = Client()
    client.force_login(user)
    context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}]
    )


def leave(context: BrowserContext) -> None:
    """Closes the browser's windows when the server has answered them all."""
    for page in context.pages:
        # What a page sends as it is left goes out now, not after the last look.
        page.goto("about:blank")
    for _ in range(LONGEST_WAIT):
        if not context.pages or not _pending.get(context):
            break
        context.pages[0].wait_for_timeout(25)
    context.close()
    _wait_until_quiet()


def _wait_until_quiet() -> None:
    """The events above miss what is sent in the last moment; the database knows of it."""
    quiet = 0
    for _ in range(LONGEST_WAIT):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend' "
                "AND state <> 'idle'"
            )
            (busy,) = cursor.fetchone()
        quiet = 0 if busy else quiet + 1
        if quiet == 2:
            return
        time.sleep(0.03)
