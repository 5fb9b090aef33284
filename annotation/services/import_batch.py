"""Writes one batch of imported rows: prompts, responses, items, judgments, gold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace

from annotation.answers import AnswerValue, dense, to_canonical
from annotation.importers.rows import MAIN_CRITERION, GivenResponse, Row, Who
from annotation.models import (
    Annotator,
    Generator,
    GoldAnswer,
    Item,
    Kind,
    Project,
    Prompt,
    Response,
)
from annotation.services.annotator import annotator_for_judge, annotator_for_worker
from annotation.services.content import (
    NewPrompt,
    NewResponse,
    get_generator,
    store_prompts,
    store_responses,
)
from annotation.services.item import CreatedItems, create_items
from annotation.services.judge import import_judge
from annotation.services.judgment_import import NewJudgment, record_judgments


@dataclass
class BatchCounts:
    prompts: int = 0
    responses: int = 0
    items: int = 0
    judgments: int = 0
    gold: int = 0
    # Items that became hidden gold, because the import was asked to make them so.
    hidden_gold: int = 0
    existing_items: int = 0
    existing_judgments: int = 0
    # Pairs of equal texts: stored as ties, never shown; judgments on them are not kept.
    identical_items: int = 0
    identical_judgments: int = 0
    # Lists of which some texts were equal, or all: then no item is made.
    shortened_lists: int = 0
    refused_lists: int = 0

    def add(self, other: BatchCounts) -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass
class _Placed:
    """A row with its rows in the database. `shown[i]` is the listed response shown i-th."""

    row: Row
    responses: list[Response]
    item: Item | None = None
    shown: list[int] = field(default_factory=list)
    shown_order: tuple[int, ...] = ()

    def place(self) -> None:
        """Equal texts of a list are one response of the item; the first by uuid stands for them."""
        by_uuid = sorted(self.responses, key=lambda response: response.uuid)
        if self.row.kind == Kind.LISTWISE:
            kept = {response.content_hash: response for response in reversed(by_uuid)}
            by_uuid = [response for response in by_uuid if kept[response.content_hash] is response]
        position = {response.pk: place for place, response in enumerate(by_uuid)}
        self.shown = [i for i, one in enumerate(self.responses) if one.pk in position]
        self.shown_order = tuple(position[self.responses[i].pk] for i in self.shown)

    def canonical(self, value: AnswerValue) -> AnswerValue:
        if value.ranks is not None and len(self.shown) < len(value.ranks):
            value = self._shortened(value, value.ranks)
        return to_canonical(value, self.shown_order)

    def _shortened(self, value: AnswerValue, ranks: tuple[int, ...]) -> AnswerValue:
        kept = [ranks[i] for i in self.shown]
        line = value.acceptable_to
        if line is not None:
            line = len({rank for rank in kept if rank <= line})
        return replace(value, ranks=dense(kept), acceptable_to=line)


class BatchWriter:
    """Keeps generators and annotators between the batches of one import."""

    def __init__(
        self, *, project: Project, batch: str, keep_open: bool, hide_gold: bool = False
    ) -> None:
        self.project = project
        self.batch = batch[:100]
        self.keep_open = keep_open
        self.hide_gold = hide_gold
        self.main_criterion = project.protocol.criterion_keys[0]
        self.forget()

    def forget(self) -> None:
        """After a rollback what was made does not exist."""
        self._generators: dict[str, Generator] = {}
        self._annotators: dict[Who, Annotator] = {}

    def write(self, rows: Sequence[Row]) -> BatchCounts:
        """In the caller's transaction."""
        counts = BatchCounts()
        prompts = self._prompts(rows, counts)
        placed = self._responses(rows, prompts, counts)
        for kind in Kind.values:
            for closed in (False, True):
                same = [
                    one
                    for one in placed
                    if one.row.kind == kind and self._closed(one.row) == closed
                ]
                if same:
                    self._items(kind, closed, same, counts)
        self._judgments(placed, counts)
        self._gold(placed, counts)
        return counts

    def _closed(self, row: Row) -> bool:
        return bool(row.judgments) and not self.keep_open

    def _prompts(self, rows: Sequence[Row], counts: BatchCounts) -> list[Prompt]:
        new = [
            NewPrompt(messages=row.prompt, external_id=row.prompt_id, tags=row.tags) for row in rows
        ]
        prompts, counts.prompts = store_prompts(project=self.project, prompts=new)
        return prompts

    def _responses(
        self, rows: Sequence[Row], prompts: Sequence[Prompt], counts: BatchCounts
    ) -> list[_Placed]:
        new = [
            NewResponse(prompt=prompt, generator=self._generator(one), messages=one.messages)
            for row, prompt in zip(rows, prompts, strict=True)
            for one in row.responses
        ]
        responses, counts.responses = store_responses(responses=new)
        rest = iter(responses)
        return [_Placed(row, [next(rest) for _ in row.responses]) for row in rows]

    def _items(
        self, kind: str, closed: bool, placed: Sequence[_Placed], counts: BatchCounts
    ) -> None:
        made: CreatedItems = create_items(
            project=self.project,
            kind=kind,
            groups=[one.responses for one in placed],
            batch=self.batch,
            external_ids=[one.row.external_id for one in placed],
            closed=closed,
        )
        for one, item in zip(placed, made.items, strict=True):
            one.item = item
            one.place()
        counts.items += made.created
        counts.existing_items += made.existing
        counts.identical_items += made.identical
        counts.shortened_lists += made.shortened
        counts.refused_lists += made.items.count(None)

    def _judgments(self, placed: Sequence[_Placed], counts: BatchCounts) -> None:
        judgments = []
        for one in placed:
            if one.item is None:
                continue
            if one.item.origin == Item.Origin.IDENTICAL:
                counts.identical_judgments += len(one.row.judgments)
                continue
            judgments += [
                NewJudgment(
                    item=one.item,
                    annotator=self._annotator(given.who),
                    answers=self._answers(one, given.answers.items()),
                    shown_order=one.shown_order,
                    comment=given.comment,
                    reasons=given.reasons,
                )
                for given in one.row.judgments
            ]
        recorded = record_judgments(project=self.project, judgments=judgments)
        counts.judgments, counts.existing_judgments = recorded.created, recorded.existing

    def _gold(self, placed: Sequence[_Placed], counts: BatchCounts) -> None:
        rows = [
            GoldAnswer(
                item=one.item,
                criterion=criterion,
                expected=value.as_expected(),
                source=one.row.gold_source[:100],
            )
            for one in placed
            if one.item is not None and one.item.origin != Item.Origin.IDENTICAL
            for criterion, value in self._answers(one, one.row.gold.items()).items()
        ]
        before = {
            (item, criterion)
            for item, criterion in GoldAnswer.objects.filter(
                item__in={row.item_id for row in rows}
            ).values_list("item_id", "criterion")
        }
        fresh = {(row.item_id, row.criterion): row for row in reversed(rows)}
        GoldAnswer.objects.bulk_create(row for key, row in fresh.items() if key not in before)
        counts.gold = len(set(fresh) - before)
        if self.hide_gold:
            known = {row.item_id for row in rows}
            shown = Item.objects.filter(pk__in=known, is_gold=False)
            # As when a manager does it: what others found wrong with an item is settled.
            counts.hidden_gold = shown.update(is_gold=True, held_at=None, skips=0)

    def _answers(
        self, one: _Placed, given: Iterable[tuple[str, AnswerValue]]
    ) -> dict[str, AnswerValue]:
        return {
            (self.main_criterion if criterion == MAIN_CRITERION else criterion): one.canonical(
                value
            )
            for criterion, value in given
        }

    def _generator(self, given: GivenResponse) -> Generator:
        if given.generator not in self._generators:
            kind = Generator.Kind.DATASET if given.from_dataset else Generator.Kind.MODEL
            self._generators[given.generator] = get_generator(
                name=given.generator, family=given.family, kind=kind.value
            )
        return self._generators[given.generator]

    def _annotator(self, who: Who) -> Annotator:
        if who not in self._annotators:
            if who.is_judge:
                judge = import_judge(
                    name=who.external_id, model_name=who.external_id, family=who.family
                )
                self._annotators[who] = annotator_for_judge(judge=judge)
            else:
                self._annotators[who] = annotator_for_worker(
                    source=who.source, external_id=who.external_id
                )
        return self._annotators[who]
