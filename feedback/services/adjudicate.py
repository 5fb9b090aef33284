"""A reviewer's word about an item, kept beside the judgments that it settles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.answers import AnswerValue, checked
from annotation.models import Item, Judgment
from annotation.services.gold import set_gold
from annotation.services.item import extend_overlap, reopen_item
from core.errors import Conflict, PrefloopError
from core.models import User
from core.services.audit import record_event
from feedback.decisions import Decision, overruled
from feedback.models import Adjudication, Preference, StaleItem
from feedback.services.policy import lock_resolution

Verdict = Adjudication.Verdict
FINAL = (Verdict.DECIDED, Verdict.EXCLUDED)


@dataclass(frozen=True)
class Grounds:
    """What a word rests on: the reviewer's blind answer, and what was shown to them then."""

    note: str = ""
    blind: Judgment | None = None
    seen_judgments: Sequence[int] | None = None
    named: bool = False
    at: datetime = field(default_factory=timezone.now)


@transaction.atomic
def adjudicate(
    *,
    item: Item,
    criterion: str,
    adjudicator: User,
    value: AnswerValue | None = None,
    exclude: bool = False,
    seen: int | None = None,
    grounds: Grounds | None = None,
    note: str = "",
) -> Preference:
    """The item's new preference: `value` (in canonical order), or excluded from training.

    `seen` is the preference that the reviewer looked at; another one means that somebody was
    quicker, or that new judgments have come.
    """
    fields: dict[str, Any] = {"verdict": Verdict.EXCLUDED}
    if not exclude:
        if value is None:
            raise PrefloopError("Choose an answer, or exclude the item.")
        value = checked(item.kind, item.item_responses.count(), value)
        fields = {"verdict": Verdict.DECIDED, **value.as_fields()}
    standing = _standing(item, criterion, seen)
    row = _write(standing, adjudicator, grounds or Grounds(note=note), fields)
    return _replace(standing, row)


@transaction.atomic
def decide_item(
    *,
    item: Item,
    adjudicator: User,
    values: Mapping[str, AnswerValue],
    seen: Mapping[str, int],
    exclude: bool = False,
    as_gold: bool = False,
    grounds: Grounds,
) -> list[Preference]:
    """All criteria that wait, or none of them; `as_gold`: their answers are the right ones."""
    rows = [
        adjudicate(
            item=item, criterion=criterion, adjudicator=adjudicator, exclude=exclude,
            value=values.get(criterion), seen=preference, grounds=grounds,
        )
        for criterion, preference in seen.items()
    ]  # fmt: skip
    if as_gold and not exclude:
        source = f"decided by a reviewer on {grounds.at:%Y-%m-%d}"
        set_gold(item=item, answers=values, actor=adjudicator, source=source)
    return rows


@transaction.atomic
def send_back(
    *, item: Item, adjudicator: User, seen: Mapping[str, int | None], more: int, grounds: Grounds
) -> list[Preference]:
    """`more` further people are asked; what was decided before gives way to the votes."""
    if item.is_gold:
        raise Conflict("This is a gold item: its answer is known, and nobody more is asked.")
    rows = []
    for criterion, preference in seen.items():
        standing = _standing(item, criterion, preference)
        _write(standing, adjudicator, grounds, {"verdict": Verdict.SENT_BACK})
        rows.append(_stand_by_votes(standing))
    if item.closed_at or item.held_at:
        reopen_item(item=item, actor=adjudicator, reason="sent back by a reviewer")
    reason = grounds.note[:200] or "sent back by a reviewer"
    extend_overlap(item=item, by=more, actor=adjudicator, reason=reason)
    return rows


@transaction.atomic
def withdraw(*, item: Item, adjudicator: User) -> list[Adjudication]:
    """Takes back one's last word on the item, all criteria of it: the votes speak again.

    A superseding row says so; nothing is deleted.
    """
    lock_resolution(item.project)
    last = item.adjudications.first()
    if last is None or last.adjudicator_id != adjudicator.pk or last.verdict not in FINAL:
        raise Conflict(
            "There is no decision of yours here to take back: "
            "it was taken back before, or somebody has decided anew."
        )
    said_together = item.adjudications.filter(
        adjudicator=adjudicator, created_at=last.created_at, verdict__in=FINAL
    )
    grounds = Grounds(blind=last.blind, seen_judgments=last.seen_judgments, named=last.named)
    return [_withdraw(one, adjudicator, grounds) for one in said_together]


def _withdraw(last: Adjudication, adjudicator: User, grounds: Grounds) -> Adjudication:
    standing = _standing(last.item, last.criterion, None)
    row = _write(standing, adjudicator, grounds, {"verdict": Verdict.WITHDRAWN})
    _stand_by_votes(standing)
    return row


def _standing(item: Item, criterion: str, seen: int | None) -> Preference:
    """The newest preference, under the lock that keeps others from replacing it meanwhile."""
    lock_resolution(item.project)
    standing = Preference.objects.newest().filter(item=item, criterion=criterion).first()
    if standing is None or item.origin == Item.Origin.IDENTICAL:
        raise PrefloopError("There is nothing to decide: nobody has judged this item so far.")
    if seen is not None and standing.pk != seen:
        raise Conflict(
            "This item has changed since you opened it: somebody decided it, or judged it again. "
            "Nothing of yours was saved; look at it again, or go on to the next."
        )
    return standing


def _write(
    standing: Preference, adjudicator: User, grounds: Grounds, fields: Mapping[str, Any]
) -> Adjudication:
    shown = grounds.seen_judgments
    row = Adjudication.objects.create(
        item_id=standing.item_id,
        criterion=standing.criterion,
        adjudicator=adjudicator,
        note=grounds.note[:5000],
        blind=grounds.blind,
        seen_judgments=list(standing.judgment_ids if shown is None else shown),
        named=grounds.named,
        created_at=grounds.at,
        **fields,
    )
    record_event(
        actor=adjudicator, action="adjudicate", target=row, project_id=standing.item.project_id,
        detail={"item": row.item_id, "criterion": row.criterion, "verdict": row.verdict},
    )  # fmt: skip
    return row


def _replace(standing: Preference, adjudication: Adjudication) -> Preference:
    decision = overruled(Decision(standing.item_id, standing.state), adjudication)
    return _append(
        standing,
        adjudication_id=decision.adjudication,
        state=decision.state,
        outcome=decision.outcome,
        probabilities=decision.probabilities,
    )


def _stand_by_votes(standing: Preference) -> Preference:
    """What the votes came to before a reviewer spoke; the resolver looks again at once."""
    if standing.adjudication_id is None:
        return standing
    rows = Preference.objects.filter(item=standing.item_id, criterion=standing.criterion)
    by_votes = rows.filter(adjudication=None).order_by("-pk").first()
    names = ("state", "outcome", "probabilities", "cause", "disagreement")
    known = {name: getattr(by_votes, name) for name in names} if by_votes else {}
    StaleItem.objects.create(item_id=standing.item_id)
    return _append(standing, **({"state": Preference.State.WAITING} | known))


def _append(standing: Preference, **fields: Any) -> Preference:
    Preference.objects.filter(pk=standing.pk).update(is_newest=False)
    kept = ("item_id", "criterion", "policy_id", "agreement", "support_people", "support_judges",
            "judgment_ids")  # fmt: skip
    return Preference.objects.create(**{name: getattr(standing, name) for name in kept} | fields)
