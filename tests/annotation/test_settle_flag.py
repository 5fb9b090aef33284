from __future__ import annotations

import pytest
from django.utils import timezone

from annotation.models import Assignment, Flag, Item
from annotation.services.settle_flag import Decision, decide_on_item, settle_flag
from core.models import AuditEvent, User
from tests.cast import Cast, annotator_of, make_item


def flag(item: Item, user: User, kind: str = Flag.Kind.PROBLEM) -> Flag:
    assignment, _ = Assignment.objects.get_or_create(
        item=item,
        annotator=annotator_of(user),
        defaults={
            "shown_order": [0, 1],
            "takes_slot": True,
            "state": Assignment.State.SKIPPED,
        },
    )
    return Flag.objects.create(assignment=assignment, kind=kind, note="It names itself.")


def test_a_flag_is_settled_once(cast: Cast) -> None:
    raised = flag(make_item(cast.project), cast.bob)
    settled = settle_flag(flag=raised, actor=cast.mary)
    assert settled.settled_by == cast.mary
    again = settle_flag(flag=raised, actor=cast.ada)
    assert (again.settled_at, again.settled_by) == (settled.settled_at, cast.mary)
    event = AuditEvent.objects.get(action="settle_flag")
    assert event.project_id == cast.project.pk
    assert event.detail == {"item": raised.assignment.item_id, "kind": "problem"}


@pytest.mark.parametrize(
    ("decision", "is_open"),
    [(Decision.REOPEN, True), (Decision.CLOSE, False), (Decision.KEEP, False)],
)
def test_a_decision_moves_the_item_and_settles_its_flags(
    cast: Cast, decision: Decision, is_open: bool
) -> None:
    item = make_item(cast.project, held_at=timezone.now(), skips=3)
    for user, kind in [(cast.bob, "problem"), (cast.bob, "identity"), (cast.lena, "problem")]:
        flag(item, user, kind)
    other = flag(make_item(cast.project), cast.bob)
    decided = decide_on_item(item=item, decision=decision, actor=cast.mary)
    decided.refresh_from_db()
    assert decided.is_open is is_open
    assert (decided.skips == 0) is (decision == Decision.REOPEN)
    assert list(Flag.objects.filter(settled_at=None)) == [other]
    decide_on_item(item=item, decision=decision, actor=cast.mary)
    assert AuditEvent.objects.filter(action="settle_flag").count() == 3
