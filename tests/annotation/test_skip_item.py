from __future__ import annotations

import pytest

from annotation.answers import AnswerValue
from annotation.models import Assignment
from annotation.services.claim_item import claim_item
from annotation.services.skip_item import skip_item
from annotation.services.submit_judgment import submit_judgment
from core.errors import Conflict
from core.models import AuditEvent
from tests.cast import Cast, make_item


def claim(cast: Cast, user) -> Assignment:
    assignment = claim_item(project=cast.project, user=user)
    assert assignment is not None
    return assignment


def test_it_gives_the_slot_back_and_is_not_asked_again(cast: Cast) -> None:
    item = make_item(cast.project, overlap=1)
    assignment = skip_item(assignment=claim(cast, cast.bob), reason="Not my field")
    item.refresh_from_db()
    assert (assignment.state, assignment.skip_reason) == (Assignment.State.SKIPPED, "Not my field")
    assert (item.open_slots, item.skips, item.held_at) == (1, 1, None)
    assert claim_item(project=cast.project, user=cast.bob) is None
    assert claim(cast, cast.lena).item == item


def test_skipping_twice_counts_once(cast: Cast) -> None:
    item = make_item(cast.project)
    assignment = claim(cast, cast.bob)
    skip_item(assignment=assignment)
    skip_item(assignment=assignment)
    item.refresh_from_db()
    assert item.skips == 1


def test_skipped_too_often_it_leaves_the_queue(cast: Cast) -> None:
    cast.project.skip_limit = 2
    cast.project.save()
    item = make_item(cast.project, overlap=3)
    skip_item(assignment=claim(cast, cast.bob))
    skip_item(assignment=claim(cast, cast.lena), reason="Broken", flagged=True)
    item.refresh_from_db()
    assert item.held_at is not None
    assert not item.is_open
    assert claim_item(project=cast.project, user=cast.rita) is None
    assert AuditEvent.objects.get(action="hold_item").actor == cast.lena
    assert Assignment.objects.get(annotator__user=cast.lena).skip_reason == "flag: Broken"


def test_an_answered_item_cannot_be_skipped(cast: Cast) -> None:
    make_item(cast.project)
    assignment = claim(cast, cast.bob)
    submit_judgment(
        assignment=assignment, client_key="k", answers={"overall": AnswerValue(strength=1)}
    )
    with pytest.raises(Conflict):
        skip_item(assignment=assignment)
