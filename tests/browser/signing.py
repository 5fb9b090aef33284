"""Puts a browser into the session of a user, without the sign-in page."""

from __future__ import annotations

from django.test import Client
from playwright.sync_api import BrowserContext

from core.models import User


def sign_in(context: BrowserContext, user: User, url: str) -> None:
    client = Client()
    client.force_login(user)
    context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}]
    )
