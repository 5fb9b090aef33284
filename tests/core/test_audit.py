"""The audit trail cannot be rewritten."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from core.models import AuditEvent
from core.services.audit import erase_trail_of, record_event
from tests.cast import Cast


def test_it_works(cast: Cast) -> None:
    event = record_event(actor=cast.mary, action="pause_member", target=cast.bob)
    assert (event.target_type, event.target_id) == ("core.user", str(cast.bob.pk))


def test_the_database_refuses_changes(cast: Cast) -> None:
    event = record_event(actor=cast.mary, action="pause_member", target=cast.bob)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        AuditEvent.objects.filter(pk=event.pk).update(action="nothing")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        event.delete()


def test_words_may_be_erased_and_nothing_else(cast: Cast) -> None:
    """A detail may lose the reason and the note in it; what was done stays."""
    detail = {"user": 3, "reason": "Bob was rude", "note": "very"}
    event = record_event(actor=cast.mary, action="pause_member", target=cast.bob, detail=detail)
    for changed in ({"reason": "Bob was rude", "note": "very"}, detail | {"reason": "kind"}):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            AuditEvent.objects.filter(pk=event.pk).update(detail=changed)
    other = record_event(actor=cast.ada, action="pause_member", target=cast.bob, detail=detail)
    assert erase_trail_of(cast.mary) == 1
    assert erase_trail_of(cast.mary) == 0
    event.refresh_from_db()
    other.refresh_from_db()
    assert (event.action, event.detail, other.detail) == ("pause_member", {"user": 3}, detail)
