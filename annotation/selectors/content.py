"""Items as researchers see them: with who wrote what, and who answered how."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from annotation.answer_words import in_words, letter
from annotation.answers import AnswerValue
from annotation.models import (
    Annotator,
    Assignment,
    Generator,
    GoldAnswer,
    Item,
    ItemResponse,
    Judgment,
    Project,
    Response,
)

# What a filter may ask for, and the words for it.
STATES: dict[str, tuple[str, Q]] = {
    "open": ("In the queue", Q(is_open=True)),
    "done": (
        "Finished",
        Q(is_open=False, held_at=None, is_gold=False) & ~Q(origin=Item.Origin.IDENTICAL),
    ),
    "held": ("Held", Q(held_at__isnull=False)),
    "gold": ("Hidden gold", Q(is_gold=True, held_at=None)),
    "identical": ("Equal texts", Q(origin=Item.Origin.IDENTICAL)),
}


def items_of(project: Project, *, kind: str = "", state: str = "") -> QuerySet[Item]:
    """Newest first, with `answers`: how many annotators have answered."""
    answered = (
        Assignment.objects.filter(item=OuterRef("pk"), state=Assignment.State.DONE)
        .order_by()
        .values("item")
        .annotate(n=Count("pk"))
        .values("n")
    )
    items = Item.objects.filter(project=project)
    if kind:
        items = items.filter(kind=kind)
    if state in STATES:
        items = items.filter(STATES[state][1])
    return (
        items.annotate(answers=Coalesce(Subquery(answered), 0))
        .select_related("prompt")
        .order_by("-pk")
    )


def state_of(item: Item) -> str:
    """One of STATES."""
    if item.origin == Item.Origin.IDENTICAL:
        return "identical"
    if item.held_at is not None:
        return "held"
    if item.is_gold:
        return "gold"
    return "open" if item.is_open else "done"


@dataclass(frozen=True)
class ShownResponse:
    letter: str
    response: Response
    generator: Generator


@dataclass(frozen=True)
class ShownJudgment:
    annotator: Annotator
    assignment: Assignment
    judgment: Judgment
    # Criterion and what was answered, in words.
    answers: list[tuple[str, str]]
    comment: str


@dataclass(frozen=True)
class ItemDetail:
    item: Item
    responses: list[ShownResponse]
    judgments: list[ShownJudgment]
    gold: list[tuple[str, str]]


def item_detail(item: Item) -> ItemDetail:
    """Five queries, however many have answered."""
    placed = ItemResponse.objects.filter(item=item).select_related("response__generator")
    done = (
        Assignment.objects.filter(item=item, current__isnull=False)
        .select_related("annotator__user", "annotator__judge")
        .order_by("pk")
    )
    current = {
        judgment.pk: judgment
        for judgment in Judgment.objects.filter(pk__in=[one.current_id for one in done])
        .select_related("comment", "protocol")
        .prefetch_related(Prefetch("answers"))
    }
    return ItemDetail(
        item=item,
        responses=[
            ShownResponse(letter(one.position), one.response, one.response.generator)
            for one in placed.order_by("position")
        ],
        judgments=[
            _shown(one, current[one.current_id]) for one in done if one.current_id in current
        ],
        gold=[
            (gold.criterion, in_words(_expected(gold)))
            for gold in GoldAnswer.objects.filter(item=item).order_by("criterion")
        ],
    )


def _shown(assignment: Assignment, judgment: Judgment) -> ShownJudgment:
    answers = sorted(judgment.answers.all(), key=lambda answer: answer.pk)
    comment = getattr(judgment, "comment", None)
    return ShownJudgment(
        annotator=assignment.annotator,
        assignment=assignment,
        judgment=judgment,
        answers=[(one.criterion, in_words(AnswerValue.of(one))) for one in answers],
        comment=comment.text if comment is not None else "",
    )


def _expected(gold: GoldAnswer) -> AnswerValue:
    given = dict(gold.expected)
    if given.get("ranks") is not None:
        given["ranks"] = tuple(given["ranks"])
    return AnswerValue(**given)
