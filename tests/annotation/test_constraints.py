"""What the database itself refuses, whatever the code above it does."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.models import Annotator, Answer, Assignment, Item, Judge, Judgment
from tests.cast import Cast, annotator_of, make_item


def lease(item: Item, annotator: Annotator, **fields: Any) -> Assignment:
    return Assignment.objects.create(
        **{
            "item": item,
            "annotator": annotator,
            "shown_order": [0, 1],
            "takes_slot": True,
            "lease_expires_at": timezone.now(),
            **fields,
        }
    )


def judge(assignment: Assignment, key: str = "k", revision: int = 1) -> Judgment:
    return Judgment.objects.create(
        assignment=assignment,
        revision=revision,
        client_key=key,
        origin="web",
        protocol=assignment.item.project.protocol,
    )


@pytest.fixture
def item(cast: Cast) -> Item:
    return make_item(cast.project, overlap=1)


def refused(name: str) -> Any:
    return pytest.raises(IntegrityError, match=name)


def test_slots_follow_assignments(cast: Cast, item: Item) -> None:
    assignment = lease(item, annotator_of(cast.bob))
    item.refresh_from_db()
    assert (item.open_slots, item.started, item.is_open) == (0, True, False)
    Assignment.objects.filter(pk=assignment.pk).update(state="expired")
    item.refresh_from_db()
    assert (item.open_slots, item.is_open) == (1, True)


def test_no_item_is_over_assigned(cast: Cast, item: Item) -> None:
    lease(item, annotator_of(cast.bob))
    with refused("open_slots"), transaction.atomic():
        lease(item, annotator_of(cast.lena))


def test_one_assignment_an_occasion(cast: Cast, item: Item) -> None:
    lease(item, annotator_of(cast.bob), takes_slot=False)
    with refused("assignment_unique"), transaction.atomic():
        lease(item, annotator_of(cast.bob), takes_slot=False)
    lease(item, annotator_of(cast.bob), takes_slot=False, occasion="probe 1")


def test_only_main_judgments_take_slots(cast: Cast, item: Item) -> None:
    with refused("assignment_slot_is_for_main"), transaction.atomic():
        lease(item, annotator_of(cast.bob), occasion="gold")


def test_done_needs_a_judgment(cast: Cast, item: Item) -> None:
    assignment = lease(item, annotator_of(cast.bob))
    with refused("assignment_answered_has_judgment"), transaction.atomic():
        Assignment.objects.filter(pk=assignment.pk).update(state="done")
    Assignment.objects.filter(pk=assignment.pk).update(state="done", current=judge(assignment))


def test_judgments_and_answers_are_never_changed(cast: Cast, item: Item) -> None:
    judgment = judge(lease(item, annotator_of(cast.bob)))
    answer = Answer.objects.create(judgment=judgment, criterion="overall", strength=2)
    for row, change in ((judgment, {"active_ms": 1}), (answer, {"strength": -2})):
        rows = type(row)._default_manager.filter(pk=row.pk)
        with refused("append-only"), transaction.atomic():
            rows.update(**change)
        with refused("append-only"), transaction.atomic():
            rows._raw_delete(rows.db)


def test_a_client_key_counts_once(cast: Cast, item: Item) -> None:
    assignment = lease(item, annotator_of(cast.bob))
    judge(assignment)
    with refused("client_key"), transaction.atomic():
        judge(assignment, revision=2)


@pytest.mark.parametrize(
    ("value", "constraint"),
    [
        ({}, "answer_has_one_value"),
        ({"strength": 1, "thumb": 1}, "answer_has_one_value"),
        ({"strength": 4}, "answer_strength_in_range"),
        ({"strength": 1, "both_bad": True}, "answer_both_bad_is_a_tie"),
        ({"thumb": 2}, "answer_thumb_in_range"),
    ],
)
def test_an_answer_has_one_sound_value(
    cast: Cast, item: Item, value: dict[str, Any], constraint: str
) -> None:
    judgment = judge(lease(item, annotator_of(cast.bob)))
    with refused(constraint), transaction.atomic():
        Answer.objects.create(judgment=judgment, criterion="overall", **value)


def test_an_annotator_is_exactly_one_thing(cast: Cast) -> None:
    judge_row = Judge.objects.create(name="gpt", model_name="gpt")
    for fields in ({}, {"user": cast.bob, "judge": judge_row}, {"source": "a", "application": "b"}):
        with refused("annotator_is_exactly_one"), transaction.atomic():
            Annotator.objects.create(**fields)
