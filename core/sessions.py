"""The session engine: Django's database sessions, read together with their user."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.middleware import AuthenticationMiddleware as DjangoMiddleware
from django.contrib.auth.middleware import get_user as get_user_by_query
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db.models import CharField, DateTimeField, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.functional import SimpleLazyObject

from core.compiled import Compiled, Slot
from core.models import Session, User


def _live(key: Slot, now: Slot) -> QuerySet[Session]:
    live = Session.objects.filter(session_key=key, expire_date__gt=now)
    return live.select_related("user")


LIVE = Compiled(_live, key=CharField(), now=DateTimeField())


class SessionStore(DatabaseStore):
    loaded_user: User | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def _get_session_from_db(self) -> Session | None:
        session = LIVE.first(key=self.session_key, now=timezone.now())
        if session is None:
            self._session_key = None
            return None
        self.loaded_user = session.user
        return session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        session = super().create_model_instance(data)
        assert isinstance(session, Session)  # noqa: S101 -- get_model_class says so
        session.user_id = data.get(SESSION_KEY)
        return session


def user_of(request: HttpRequest) -> User | AnonymousUser:
    """As Django's own `get_user`, without its query; whatever is out of the ordinary goes there."""
    session = request.session
    user_id = session.get(SESSION_KEY)
    user: User | None = getattr(session, "loaded_user", None)
    if (
        user is not None
        and str(user.pk) == user_id
        and user.is_active
        and constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
    ):
        return user
    return get_user_by_query(request)


class AuthenticationMiddleware(DjangoMiddleware):
    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        request.user = SimpleLazyObject(lambda: user_of(request))  # type: ignore[assignment]
