"""The recount finds what is wrong, and nothing else. What the database refuses is not forged."""

from __future__ import annotations

import pytest
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import Assignment, Item, ItemResponse
from annotation.selectors.invariants import violations
from annotation.services.claim_item import claim_item
from annotation.services.gold import set_gold
from annotation.services.submit_judgment import submit_judgment
from tests.cast import Cast, annotator_of, make_item, make_project

FIRST_BETTER = {"overall": AnswerValue(strength=2)}


@pytest.fixture
def assignment(cast: Cast) -> Assignment:
    """Answered; another item is open, a third is gold."""
    for _ in range(2):
        make_item(cast.project)
    set_gold(item=make_item(cast.project), answers=FIRST_BETTER, actor=cast.mary)
    assignment = claim_item(project=cast.project, user=cast.bob)
    assert assignment is not None
    submit_judgment(assignment=assignment, client_key="a", answers=FIRST_BETTER)
    claim_item(project=cast.project, user=cast.bob)
    return assignment


def test_sound_rows_break_nothing(cast: Cast, assignment: Assignment) -> None:
    assert violations(cast.project) == []


def test_other_projects_are_not_looked_at(cast: Cast, assignment: Assignment) -> None:
    Item.objects.filter(pk=assignment.item_id).update(open_slots=2)
    assert violations(make_project(name="Another")) == []


def test_slots_adrift(cast: Cast, assignment: Assignment) -> None:
    Item.objects.filter(pk=assignment.item_id).update(open_slots=2)
    assert violations(cast.project) == [
        f"slots adrift: {assignment.item_id} (2 open of 2, 1 taken)"
    ]


def test_a_stuck_item(cast: Cast, assignment: Assignment) -> None:
    Item.objects.filter(pk=assignment.item_id).update(open_slots=0)
    assert [one.split(":")[0] for one in violations(cast.project)] == [
        "slots adrift",
        "not in the queue, and has room",
    ]


def test_an_over_assigned_item(cast: Cast, assignment: Assignment) -> None:
    item = make_item(cast.project, overlap=2)
    Item.objects.exclude(pk=item.pk).update(closed_at=timezone.now())
    for user in (cast.lena, cast.rita):
        claim_item(project=cast.project, user=user)
    Item.objects.filter(pk=item.pk).update(overlap=1)
    assert violations(cast.project) == [
        f"slots adrift: {item.pk} (0 open of 1, 2 taken)",
        f"over-assigned: {item.pk} (2 counted of 1)",
    ]


def test_three_items_in_one_persons_hands(cast: Cast, assignment: Assignment) -> None:
    for _ in range(2):
        Assignment.objects.create(
            item=make_item(cast.project),
            annotator=annotator_of(cast.bob),
            shown_order=[1, 0],
            takes_slot=True,
            lease_expires_at=timezone.now(),
        )
    [one] = violations(cast.project)
    assert one.startswith("more than two items in one person's hands")


def test_an_older_answer_counts(cast: Cast, assignment: Assignment) -> None:
    before = assignment.current
    submit_judgment(assignment=assignment, client_key="b", answers=FIRST_BETTER)
    Assignment.objects.filter(pk=assignment.pk).update(current=before)
    assert violations(cast.project) == [f"not the newest answer counts: {assignment.pk} (done)"]


def test_an_answer_without_its_judgment(cast: Cast, assignment: Assignment) -> None:
    Assignment.objects.filter(pk=assignment.pk).update(state="skipped", current=None)
    assert {one.split(":")[0] for one in violations(cast.project)} == {
        "answered without a judgment",
        "not the newest answer counts",
    }


def test_a_response_that_was_never_shown(cast: Cast, assignment: Assignment) -> None:
    ItemResponse.objects.filter(item=assignment.item_id, position=1).delete()
    [one] = violations(cast.project)
    assert one.startswith("an order shown that is no order of the responses")
