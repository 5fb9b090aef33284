"""Hidden gold: items with known answers, handed out in the stream to measure people."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from annotation.answers import AnswerValue, checked
from annotation.models import Assignment, GoldAnswer, Item
from annotation.services.item import count_surplus
from core.errors import Conflict, PrefloopError
from core.models import User
from core.services.audit import record_event

State = Assignment.State


@transaction.atomic
def set_gold(
    *, item: Item, answers: Mapping[str, AnswerValue], actor: User | None, source: str = ""
) -> Item:
    """`answers` by criterion, in canonical order; they replace those that were known before.

    The item leaves the queue, whatever it was there: closed, held or half judged. Who has it open
    may finish, and that answer counts as any other; everybody else meets it as gold, once.
    """
    locked = _locked(item)
    if locked.origin == Item.Origin.IDENTICAL:
        raise Conflict("Both texts of this item are equal, so nobody is asked about it.")
    expected = _expected(locked, answers)
    GoldAnswer.objects.filter(item=locked).exclude(criterion__in=expected).delete()
    for criterion, value in expected.items():
        GoldAnswer.objects.update_or_create(
            item=locked,
            criterion=criterion,
            defaults={"expected": value.as_expected(), "source": source[:100]},
        )
    # Who gives the answer has settled what others found wrong with the item.
    Item.objects.filter(pk=locked.pk).update(is_gold=True, held_at=None, skips=0)
    return _recorded(
        item, actor, "set_gold", {key: value.as_expected() for key, value in expected.items()}
    )


@transaction.atomic
def unset_gold(*, item: Item, actor: User | None) -> Item:
    """Back into the queue with the slots it had. The known answers stay, as a benchmark's.

    Who met it as gold has met it: what they answered becomes an ordinary answer, which takes a
    free slot, the oldest first, or is kept as surplus; and they are not asked again.
    """
    moved = Item.objects.filter(pk=item.pk, is_gold=True).update(is_gold=False)
    if moved:
        _count_gold_answers(item)
        return _recorded(item, actor, "unset_gold", {})
    item.refresh_from_db()
    return item


def _count_gold_answers(item: Item) -> None:
    """The caller has the item's row locked."""
    met = Assignment.objects.filter(item=item, occasion=Assignment.GOLD)
    # A lease of before that ran out stands in their way: it ends as theirs for good.
    main = Assignment.objects.filter(item=item, occasion=Assignment.MAIN)
    before = main.filter(annotator__in=met.exclude(state=State.EXPIRED).values("annotator"))
    before.filter(state=State.EXPIRED).update(state=State.SKIPPED, finished_at=timezone.now())
    ordinary = {"occasion": Assignment.MAIN, "takes_slot": True}
    met = met.exclude(annotator__in=main.values("annotator"))
    met.filter(state=State.LEASED).update(state=State.EXPIRED, lease_expires_at=None, **ordinary)
    met.filter(state=State.DONE).update(state=State.SURPLUS, **ordinary)
    met.exclude(state__in=[State.LEASED, State.DONE]).update(**ordinary)
    count_surplus(item)


def _locked(item: Item) -> Item:
    rows = Item.objects.select_for_update(no_key=True, of=("self",)).select_related("project")
    return rows.get(pk=item.pk)


def _expected(item: Item, answers: Mapping[str, AnswerValue]) -> dict[str, AnswerValue]:
    if not answers:
        raise PrefloopError("Give the right answer for at least one criterion.")
    known = item.project.protocol.criterion_keys
    for criterion in answers:
        if criterion not in known:
            raise PrefloopError(
                f"This project has no criterion “{criterion}”; it has {', '.join(known)}."
            )
    size = item.item_responses.count()
    return {key: checked(item.kind, size, value) for key, value in answers.items()}


def _recorded(item: Item, actor: User | None, action: str, detail: dict[str, object]) -> Item:
    item.refresh_from_db()
    record_event(actor=actor, action=action, target=item, project_id=item.project_id, detail=detail)
    return item
