"""What keeps the plans of a hand-out the same is still there: a function made anew loses it."""

from __future__ import annotations

import re

import pytest
from django.db import connection

pytestmark = pytest.mark.django_db


def asked(sql: str, *values: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        [[found]] = cursor.fetchall()
    return found if isinstance(found, list) else [found]


def test_a_hand_out_is_planned_once_a_connection() -> None:
    settings = asked("SELECT proconfig FROM pg_proc WHERE proname = 'annotation_claim'")
    assert settings == ["plan_cache_mode=force_generic_plan"]


@pytest.mark.parametrize(
    "function", ["annotation_lock_open_item", "annotation_next_gold", "annotation_next_probe"]
)
def test_what_one_has_seen_is_asked_item_by_item(function: str) -> None:
    [text] = asked("SELECT prosrc FROM pg_proc WHERE proname = %s", function)
    questions = re.findall(r"NOT EXISTS \((.*?)\)", text, flags=re.DOTALL)
    assert questions
    assert all(question.endswith("OFFSET 0") for question in questions)


def test_nobody_is_taken_for_somebody_of_one_answer() -> None:
    options = asked(
        """SELECT attoptions FROM pg_attribute
        WHERE attrelid = 'annotation_assignment'::regclass AND attname = 'annotator_id'"""
    )
    assert options == ["n_distinct=100"]
