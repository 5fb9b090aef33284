"""A reviewer's decision about a contested item, kept beside the judgments it settles."""

from __future__ import annotations

from django.db import transaction

from annotation.answers import AnswerValue, checked
from annotation.models import Item
from core.errors import Conflict, PrefloopError
from core.models import User
from core.services.audit import record_event
from feedback.decisions import Decision, overruled
from feedback.models import Adjudication, Preference
from feedback.services.policy import lock_resolution


@transaction.atomic
def adjudicate(
    *,
    item: Item,
    criterion: str,
    adjudicator: User,
    value: AnswerValue | None = None,
    exclude: bool = False,
    note: str = "",
    seen: int | None = None,
) -> Preference:
    """The item's new preference: `value` (in canonical order), or excluded from training.

    `seen` is the preference that the reviewer looked at; another one means that somebody was
    quicker, or that new judgments have come.
    """
    lock_resolution(item.project)
    standing = Preference.objects.newest().filter(item=item, criterion=criterion).first()
    if standing is None or item.origin == Item.Origin.IDENTICAL:
        raise PrefloopError("There is nothing to decide: nobody has judged this item so far.")
    if seen is not None and standing.pk != seen:
        raise Conflict(
            "This item has changed since you opened it: somebody decided it, or judged it again. "
            "Nothing of yours was saved; go on to the next."
        )
    adjudication = _write(item, criterion, adjudicator, value, exclude, note)
    preference = _replace(standing, adjudication)
    record_event(
        actor=adjudicator, action="adjudicate", target=adjudication, project_id=item.project_id,
        detail={"item": item.pk, "criterion": criterion, "exclude": exclude},
    )  # fmt: skip
    return preference


def _write(
    item: Item,
    criterion: str,
    adjudicator: User,
    value: AnswerValue | None,
    exclude: bool,
    note: str,
) -> Adjudication:
    fields = {}
    if not exclude:
        if value is None:
            raise PrefloopError("Choose an answer, or exclude the item.")
        fields = checked(item.kind, item.item_responses.count(), value).as_fields()
        fields.pop("acceptable_to")
    return Adjudication.objects.create(
        item=item, criterion=criterion, adjudicator=adjudicator, exclude=exclude,
        note=note[:5000], **fields,
    )  # fmt: skip


def _replace(standing: Preference, adjudication: Adjudication) -> Preference:
    decision = overruled(Decision(standing.item_id, standing.state), adjudication)
    Preference.objects.filter(pk=standing.pk).update(is_newest=False)
    return Preference.objects.create(
        item_id=standing.item_id,
        criterion=standing.criterion,
        policy_id=standing.policy_id,
        adjudication=adjudication,
        state=decision.state,
        outcome=decision.outcome,
        probabilities=decision.probabilities,
        agreement=standing.agreement,
        support_people=standing.support_people,
        support_judges=standing.support_judges,
        judgment_ids=standing.judgment_ids,
    )
