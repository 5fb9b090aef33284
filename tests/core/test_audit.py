"""The audit trail cannot be rewritten."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from core.models import AuditEvent
from core.services.audit import record_event
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
