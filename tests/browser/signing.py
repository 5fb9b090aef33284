"""Puts a browser into the session of a user, without the sign-in page; and out of it in peace."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from django.test import Client
from playwright.sync_api import BrowserContext, Request

from core.models import User

# Requests that pages send on their own, by context: one that is still with the server when the
# test's database is emptied would deadlock with that.
_pending: WeakKeyDictionary[BrowserContext, set[Request]] = WeakKeyDictionary()
LONGEST_WAIT = 200


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
    for _ in range(LONGEST_WAIT):
        if not context.pages or not _pending.get(context):
            break
        context.pages[0].wait_for_timeout(25)
    context.close()
