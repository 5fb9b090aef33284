"""The token in a link for a new password. Of each person only the newest link is good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.utils import timezone

from core.models import User


class LinkTokens(PasswordResetTokenGenerator):
    """Signed with the password in force and with the moment in which the link was made."""

    key_salt = "core.password_links"

    def check_token(self, user: AbstractBaseUser | None, token: str | None) -> bool:
        if not isinstance(user, User) or user.password_link_made_at is None:
            return False
        return super().check_token(user, token)

    # Django's types know only its own user.
    def _make_hash_value(self, user: Any, timestamp: int) -> str:
        # Not Django's own value: it has the last sign-in and the e-mail, and a link would end with
        # either while the page still tells that it is open.
        return f"{user.pk}{user.password}{timestamp}{user.password_link_made_at}"


link_tokens = LinkTokens()


def has_open_link(user: User) -> bool:
    made_at, lasts = user.password_link_made_at, timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
    return user.is_active and made_at is not None and timezone.now() < made_at + lasts
