"""Stores what an annotator answered. An answer that reached us is never lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import transaction
from django.utils import timezone

from annotation.answers import AnswerValue, checked_all, to_canonical
from annotation.models import (
    Answer,
    Assignment,
    Item,
    Judgment,
    JudgmentComment,
    Protocol,
)
from annotation.services.project import freeze_protocol
from core.errors import Conflict, PrefloopError

State = Assignment.State
DAY_MS = 24 * 3600 * 1000


@transaction.atomic
def submit_judgment(
    *,
    assignment: Assignment,
    client_key: str,
    answers: Mapping[str, AnswerValue],
    comment: str = "",
    reasons: Sequence[str] = (),
    duration_ms: int | None = None,
    active_ms: int | None = None,
    origin: str = Judgment.Origin.WEB,
    protocol: Protocol | None = None,
) -> Judgment:
    """`answers` are in the order shown. The same `client_key` again returns the same judgment.

    A late answer takes a free slot back, or is kept as surplus. An assignment that is answered
    already gets a further revision: the newest answer is the one that counts.
    """
    # Item before assignment, as everywhere, so that nobody waits in a circle.
    item = Item.objects.select_for_update(no_key=True).get(pk=assignment.item_id)
    locked = Assignment.objects.select_for_update(no_key=True).get(pk=assignment.pk)
    known = Judgment.objects.filter(client_key=client_key).first()
    if known is not None:
        return _the_same(known, assignment)
    protocol = protocol or item.project.protocol
    size = len(locked.shown_order)
    shown = checked_all(item.kind, size, protocol.criterion_keys, answers)
    _check_reasons(protocol, reasons)
    judgment = Judgment.objects.create(
        assignment=locked,
        revision=locked.judgments.count() + 1 if locked.current_id else 1,
        protocol=protocol,
        client_key=client_key,
        origin=origin,
        reasons=list(dict.fromkeys(reasons)),
        duration_ms=_bounded(duration_ms),
        active_ms=_bounded(active_ms),
    )
    Answer.objects.bulk_create(
        Answer(
            judgment=judgment,
            criterion=key,
            **to_canonical(value, locked.shown_order).as_fields(),
        )
        for key, value in shown.items()
    )
    if comment.strip():
        JudgmentComment.objects.create(judgment=judgment, text=comment.strip())
    freeze_protocol(protocol=protocol)
    _settle(item=item, assignment=locked, judgment=judgment)
    for name in ("state", "current", "lease_expires_at", "finished_at"):
        setattr(assignment, name, getattr(locked, name))
    return judgment


def _the_same(known: Judgment, assignment: Assignment) -> Judgment:
    if known.assignment_id != assignment.pk:
        raise Conflict("This answer's key belongs to another item. Reload the page and try again.")
    return known


def _check_reasons(protocol: Protocol, reasons: Sequence[str]) -> None:
    unknown = sorted(set(reasons) - set(protocol.reasons))
    if unknown:
        raise PrefloopError(f"This project has no reason called “{unknown[0]}”.")


def _bounded(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else max(0, min(milliseconds, DAY_MS))


def _settle(*, item: Item, assignment: Assignment, judgment: Judgment) -> None:
    """State and current answer change together, and only from the state that was read."""
    before = assignment.state
    assignment.state = _state_after(item, assignment)
    assignment.finished_at = assignment.finished_at if assignment.current_id else timezone.now()
    assignment.current, assignment.lease_expires_at = judgment, None
    settled = Assignment.objects.filter(pk=assignment.pk, state=before).update(
        state=assignment.state,
        current=judgment,
        lease_expires_at=None,
        finished_at=assignment.finished_at,
    )
    if not settled:
        raise Conflict("This item changed while you answered. Send the answer again.")


def _state_after(item: Item, assignment: Assignment) -> str:
    if assignment.state in (State.LEASED, State.DONE):
        return State.DONE
    if assignment.state == State.SURPLUS:
        return State.SURPLUS
    # Expired or skipped: the slot went back, and may still be free.
    return State.DONE if not assignment.takes_slot or item.open_slots > 0 else State.SURPLUS
