"""A compiled query answers as the ORM's own does, with new values at each call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import BigIntegerField, CharField, F, IntegerField, QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation.models import Item, Project, Prompt
from core.compiled import Compiled, CompiledUpdate, Slot
from core.models import Session, User
from tests.cast import Cast, make_item, make_user

pytestmark = pytest.mark.django_db


def _by_name(name: Slot) -> QuerySet[User]:
    return User.objects.filter(username=name)


def _items(project: Slot, *numbers: Slot) -> QuerySet[Item]:
    items = Item.objects.filter(project=project, pk__in=numbers).order_by("pk")
    return items.select_related("prompt").annotate(taken=F("overlap") - F("open_slots"))


def _messages(item: Slot) -> QuerySet[Prompt, tuple[Any, str]]:
    return Prompt.objects.filter(items=item).values_list("messages", "external_id")


def _sessions(key: Slot) -> QuerySet[Session]:
    return Session.objects.filter(session_key=key).select_related("user")


def _urgent(item: Slot, priority: Slot) -> tuple[QuerySet[Item], dict[str, Any]]:
    return Item.objects.filter(pk=item, priority=0), {"priority": priority, "closed_at": None}


ITEMS = Compiled(
    _items, project=BigIntegerField(), first=BigIntegerField(), second=BigIntegerField()
)


def test_each_call_has_values_of_its_own() -> None:
    users = Compiled(_by_name, name=CharField())
    for name in ("ann", "ben", "ann; DROP TABLE core_user"):
        user = make_user(name)
        assert users.first(name=name) == user
        assert users.rows(name=name) == [user]
    assert users.first(name="nobody") is None


def test_rows_are_what_the_orm_makes_of_them(cast: Cast) -> None:
    items = [make_item(cast.project) for _ in range(3)]
    numbers = [item.pk for item in items[:2]]
    with CaptureQueriesContext(
        connection,
    ) as asked:
        found = ITEMS.rows(project=cast.project.pk, first=numbers[0], second=numbers[1])
        prompts = [item.prompt for item in found]
    assert len(asked) == 1
    expected = Item.objects.filter(pk__in=numbers).select_related("prompt").order_by("pk")
    for mine, other in zip(found, expected, strict=True):
        assert {**vars(mine), "_state": 0, "taken": 0} == {**vars(other), "_state": 0, "taken": 0}
        assert mine.taken == 0  # type: ignore[attr-defined]
    assert [prompt.messages for prompt in prompts] == [item.prompt.messages for item in items[:2]]
    assert not found[0]._state.adding


def test_no_value_is_an_error_and_no_number_is_no_row(cast: Cast) -> None:
    with pytest.raises(ValueError, match="project is None"):
        ITEMS.rows(project=None, first=1, second=2)
    assert ITEMS.rows(project=cast.project.pk, first=0, second=0) == []


def test_what_is_joined_may_be_missing() -> None:
    session = Session.objects.create(
        session_key="s" * 32, expire_date=timezone.now() + timedelta(1), session_data=""
    )
    sessions = Compiled(_sessions, key=CharField())
    found = sessions.first(key=session.session_key)
    assert found == session
    assert found.user is None


def test_threads_compile_it_together() -> None:
    user, users = make_user("ann"), Compiled(_by_name, name=CharField())
    with ThreadPoolExecutor(8) as threads:
        compiled = list(threads.map(lambda _: users._compile(), range(16)))
    assert all(rows({"name": "ann"}) == [user] for rows in compiled)


def test_an_update_tells_how_many_rows_there_were(cast: Cast) -> None:
    items = [make_item(cast.project) for _ in range(2)]
    urgent = CompiledUpdate(_urgent, item=BigIntegerField(), priority=IntegerField())
    assert urgent.run(item=items[0].pk, priority=7) == 1
    assert urgent.run(item=items[0].pk, priority=8) == 0
    found = Item.objects.order_by("pk").values_list("priority", "closed_at")
    assert list(found) == [(7, None), (0, None)]


def test_values_are_converted_as_the_fields_say(cast: Cast) -> None:
    item = make_item(cast.project)
    messages = Compiled(_messages, item=BigIntegerField())
    assert messages.rows(item=item.pk) == [(item.prompt.messages, item.prompt.external_id)]


def test_another_project_s_items_stay_out(cast: Cast) -> None:
    item, other = make_item(cast.project), Project.objects.create(name="Other")
    assert ITEMS.rows(project=other.pk, first=item.pk, second=0) == []
