"""Gold items as managers see them, and what could become gold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, QuerySet

from annotation.answer_words import in_words
from annotation.answers import AnswerValue
from annotation.gold_match import agrees_with_item, expected_value
from annotation.models import Answer, Assignment, GoldAnswer, Item, Project


@dataclass(frozen=True)
class GoldRow:
    """`agreed` of `answered` people gave the known answer when they met the item as gold."""

    item: Item
    expected: list[tuple[str, str]]
    source: str
    answered: int
    agreed: int

    @property
    def is_doubtful(self) -> bool:
        """Most people disagree: then the known answer may be what is wrong."""
        return self.answered >= 3 and self.agreed * 2 < self.answered


def gold_items(project: Project) -> QuerySet[Item]:
    """In the order in which everybody meets them."""
    return project.items.filter(is_gold=True).select_related("prompt").order_by("rnd", "pk")


def with_known_answers(project: Project) -> QuerySet[Item]:
    """Items that are not gold and could be: somebody gave the right answer with them."""
    known = GoldAnswer.objects.filter(
        item=OuterRef("pk"), criterion__in=project.protocol.criterion_keys
    )
    items = project.items.filter(Exists(known), is_gold=False, origin=Item.Origin.CREATED)
    return items.select_related("prompt").order_by("rnd", "pk")


def gold_rows(items: Iterable[Item]) -> list[GoldRow]:
    """Three queries, however many items and people."""
    items = list(items)
    known: dict[int, list[GoldAnswer]] = {}
    for one in GoldAnswer.objects.filter(item__in=items).order_by("criterion"):
        known.setdefault(one.item_id, []).append(one)
    met = _met(items)
    return [_row(item, known.get(item.pk, []), met.get(item.pk, [])) for item in items]


def known_answers(item: Item) -> dict[str, AnswerValue]:
    rows = GoldAnswer.objects.filter(item=item).order_by("criterion")
    return {one.criterion: expected_value(one.expected) for one in rows}


def _met(items: list[Item]) -> dict[int, list[dict[str, AnswerValue]]]:
    """What people answered when they met the items as gold, by item."""
    met = Assignment.objects.filter(
        item__in=items, occasion=Assignment.GOLD, current__isnull=False
    ).values_list("current_id", "item_id")
    item_of = dict(met)
    answers: dict[int, dict[str, AnswerValue]] = {}
    for answer in Answer.objects.filter(judgment__in=item_of):
        answers.setdefault(answer.judgment_id, {})[answer.criterion] = AnswerValue.of(answer)
    found: dict[int, list[dict[str, AnswerValue]]] = {}
    for judgment, given in answers.items():
        found.setdefault(item_of[judgment], []).append(given)
    return found


def _row(item: Item, known: list[GoldAnswer], met: list[dict[str, AnswerValue]]) -> GoldRow:
    expected = {one.criterion: expected_value(one.expected) for one in known}
    verdicts = [agrees_with_item(item.kind, expected, given) for given in met]
    compared = [one for one in verdicts if one is not None]
    return GoldRow(
        item=item,
        expected=[(criterion, in_words(value)) for criterion, value in expected.items()],
        source=next((one.source for one in known if one.source), ""),
        answered=len(compared),
        agreed=sum(compared),
    )
