"""Stores what an annotator answered. An answer that reached us is never lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import BigIntegerField, DateTimeField, QuerySet
from django.utils import timezone

from annotation.answers import AnswerValue, check_picks, checked_all, to_canonical
from annotation.models import (
    Answer,
    Assignment,
    Draft,
    Item,
    Judgment,
    JudgmentComment,
    Protocol,
)
from annotation.services.project import freeze_protocol
from annotation.services.rewrite_response import rewrite_response
from core.compiled import CompiledUpdate, Slot
from core.errors import Conflict, PrefloopError

State = Assignment.State


def _in_time(
    assignment: Slot, judgment: Slot, finished: Slot
) -> tuple[QuerySet[Assignment], dict[str, Any]]:
    leased = Assignment.objects.filter(pk=assignment, state=State.LEASED, current=None)
    done = {"state": State.DONE, "current": judgment, "finished_at": finished}
    return leased, {**done, "lease_expires_at": None}


IN_TIME = CompiledUpdate(
    _in_time, assignment=BigIntegerField(), judgment=BigIntegerField(), finished=DateTimeField()
)
DAY_MS = 24 * 3600 * 1000
# Whom the protocol asks; imports bring what others asked.
ASKED = (Judgment.Origin.WEB, Judgment.Origin.API)


def submit_judgment(
    *,
    assignment: Assignment,
    client_key: str,
    answers: Mapping[str, AnswerValue],
    comment: str = "",
    reasons: Sequence[str] = (),
    rewrite: str = "",
    duration_ms: int | None = None,
    active_ms: int | None = None,
    origin: str = Judgment.Origin.WEB,
    protocol: Protocol | None = None,
) -> Judgment:
    """`answers` are in the order shown. The same `client_key` again returns the same judgment.

    `rewrite` is a better text for a response that is judged alone; equal to it, it is none.

    A late answer takes a free slot back, or is kept as surplus. An assignment that is answered
    already gets a further revision: the newest answer is the one that counts.
    """
    judgment = Judgment(
        assignment=assignment,
        protocol=protocol or assignment.item.project.protocol,
        client_key=client_key,
        origin=origin,
        reasons=list(dict.fromkeys(reasons)),
        duration_ms=_bounded(duration_ms),
        active_ms=_bounded(active_ms),
    )
    if assignment.state == State.LEASED:
        try:
            return _answer_in_time(judgment, answers, comment, rewrite)
        except (IntegrityError, PrefloopError):
            # Answered, expired or sent twice meanwhile, or not valid: look again, under locks.
            judgment.pk = None
    return _answer_under_locks(judgment, answers, comment, rewrite)


@transaction.atomic
def _answer_in_time(
    judgment: Judgment, answers: Mapping[str, AnswerValue], comment: str, rewrite: str
) -> Judgment:
    """The first answer under a live lease. The slot stays as it is, so no item is locked.

    The unique revision makes two senders wait for each other, and the state that was read must
    still be there.
    """
    assignment, finished = judgment.assignment, timezone.now()
    _write(judgment, answers, comment, rewrite)
    moved = IN_TIME.run(assignment=assignment.pk, judgment=judgment.pk, finished=finished)
    _moved(moved, assignment, State.DONE, judgment, finished)
    return judgment


@transaction.atomic
def _answer_under_locks(
    judgment: Judgment, answers: Mapping[str, AnswerValue], comment: str, rewrite: str
) -> Judgment:
    """Late answers, revisions and repeats."""
    assignment = judgment.assignment
    # Item before assignment, as everywhere, so that nobody waits in a circle.
    item = Item.objects.select_for_update(no_key=True).get(pk=assignment.item_id)
    locked = Assignment.objects.select_for_update(no_key=True).get(pk=assignment.pk)
    known = Judgment.objects.filter(client_key=judgment.client_key).first()
    if known is not None:
        return _the_same(known, assignment)
    if locked.current_id:
        judgment.revision = locked.judgments.count() + 1
    for name in ("state", "current_id", "finished_at"):
        setattr(assignment, name, getattr(locked, name))
    _write(judgment, answers, comment, rewrite)
    _move(assignment, _state_after(item, assignment), judgment)
    return judgment


def _write(
    judgment: Judgment, answers: Mapping[str, AnswerValue], comment: str, rewrite: str
) -> None:
    assignment, protocol = judgment.assignment, judgment.protocol
    order = assignment.shown_order
    shown = checked_all(assignment.item.kind, len(order), protocol.criterion_keys, answers)
    if protocol.pairwise_scale == Protocol.Scale.PICK and judgment.origin in ASKED:
        check_picks(shown.values())
    _check_words(judgment, comment)
    judgment.save(force_insert=True)
    Answer.objects.bulk_create(
        Answer(judgment=judgment, criterion=key, **to_canonical(value, order).as_fields())
        for key, value in shown.items()
    )
    if comment.strip():
        JudgmentComment.objects.create(judgment=judgment, text=comment.strip())
    if rewrite:
        rewrite_response(judgment=judgment, text=rewrite)
    freeze_protocol(protocol=protocol)


def _the_same(known: Judgment, assignment: Assignment) -> Judgment:
    if known.assignment_id != assignment.pk:
        raise Conflict("This answer's key belongs to another item. Reload the page and try again.")
    return known


def _check_words(judgment: Judgment, comment: str) -> None:
    protocol, kind = judgment.protocol, judgment.assignment.item.kind
    unknown = sorted(set(judgment.reasons) - set(protocol.reasons_for(kind)))
    if unknown:
        raise PrefloopError(f"This project has no reason called “{unknown[0]}”.")
    needed, given = protocol.comment_min_length, len(comment.strip())
    if given < needed and judgment.origin in ASKED:
        raise PrefloopError(
            f"This project asks for a comment of at least {needed} characters; yours has {given}.",
            field="comment",
        )


def _bounded(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else max(0, min(milliseconds, DAY_MS))


def _move(assignment: Assignment, after: str, judgment: Judgment) -> None:
    """State and current answer change together, and only from the state that was read."""
    finished = assignment.finished_at if assignment.current_id else timezone.now()
    moved = Assignment.objects.filter(
        pk=assignment.pk, state=assignment.state, current=assignment.current_id
    ).update(state=after, current=judgment, lease_expires_at=None, finished_at=finished)
    _moved(moved, assignment, after, judgment, finished)


def _moved(
    rows: int, assignment: Assignment, after: str, judgment: Judgment, finished: datetime | None
) -> None:
    if not rows:
        raise Conflict("This item changed while you answered. Send the answer again.")
    # After the row is locked: a draft that comes later sees that it is answered.
    Draft.objects.filter(pk=assignment.pk).delete()
    assignment.state, assignment.current = after, judgment
    assignment.lease_expires_at, assignment.finished_at = None, finished


def _state_after(item: Item, assignment: Assignment) -> str:
    if assignment.state in (State.LEASED, State.DONE):
        return State.DONE
    if assignment.state == State.SURPLUS:
        return State.SURPLUS
    # Expired or skipped: the slot went back, and may still be free.
    return State.DONE if not assignment.takes_slot or item.open_slots > 0 else State.SURPLUS
