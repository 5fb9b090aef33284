"""A compiled query answers as the ORM's own does, with new values at each call."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.models import BigIntegerField, CharField, F, QuerySet
from django.test.utils import CaptureQueriesContext

from annotation.models import Item, Project, Prompt
from core.compiled import Compiled, Slot
from core.models import User
from tests.cast import Cast, make_item, make_user

pytestmark = pytest.mark.django_db


def _by_name(name: Slot) -> QuerySet[User]:
    return User.objects.filter(username=name)


def _items(project: Slot, numbers: Slot) -> QuerySet[Item]:
    items = Item.objects.filter(project=project, pk__any=numbers).order_by("pk")
    return items.select_related("prompt").annotate(taken=F("overlap") - F("open_slots"))


def _messages(item: Slot) -> QuerySet[Prompt, tuple[Any, str]]:
    return Prompt.objects.filter(items=item).values_list("messages", "external_id")


ITEMS = Compiled(_items, project=BigIntegerField(), numbers=BigIntegerField())


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
        found = ITEMS.rows(project=cast.project.pk, numbers=numbers)
        prompts = [item.prompt for item in found]
    assert len(asked) == 1
    expected = Item.objects.filter(pk__in=numbers).select_related("prompt").order_by("pk")
    for mine, other in zip(found, expected, strict=True):
        assert {**vars(mine), "_state": 0, "taken": 0} == {**vars(other), "_state": 0, "taken": 0}
        assert mine.taken == 0  # type: ignore[attr-defined]
    assert [prompt.messages for prompt in prompts] == [item.prompt.messages for item in items[:2]]
    assert not found[0]._state.adding


def test_values_are_converted_as_the_fields_say(cast: Cast) -> None:
    item = make_item(cast.project)
    messages = Compiled(_messages, item=BigIntegerField())
    assert messages.rows(item=item.pk) == [(item.prompt.messages, item.prompt.external_id)]


def test_another_project_s_items_stay_out(cast: Cast) -> None:
    item, other = make_item(cast.project), Project.objects.create(name="Other")
    assert ITEMS.rows(project=other.pk, numbers=[item.pk]) == []
