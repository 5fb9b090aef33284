"""What a judge's card is computed from, straight from the tables: verdicts, texts, tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum
from django.db.models.fields.json import KeyTransform

from annotation.models import (
    Answer,
    Assignment,
    Judge,
    JudgeCall,
    JudgeRun,
    JudgeVerdict,
    Judgment,
    Kind,
    Project,
    Prompt,
)
from annotation.selectors.judge import spec_of
from feedback.models import Preference
from feedback.selectors.columns import fetch_columns
from feedback.statistics.arrays import Floats, Integers

JUDGE, REPEAT, CANARY = "judge", "repeat ", "canary "
Given = dict[str, Any]
_RESPONSES = """
SELECT ir.item_id, ir.position::bigint,
  (SELECT coalesce(sum(length(m->>'content')), 0) FROM jsonb_array_elements(r.messages) m)::bigint,
  (%s <> '' AND lower(g.family) = lower(%s))::int::bigint
FROM annotation_itemresponse ir
JOIN annotation_response r ON r.id = ir.response_id
JOIN annotation_generator g ON g.id = r.generator_id
WHERE ir.item_id = ANY(%s) ORDER BY ir.item_id, ir.position
"""
_OUTCOMES = """
SELECT i.prompt_id, (v.outcome = 'unparsable')::int::bigint, (v.outcome = 'failed')::int::bigint
FROM annotation_judgeverdict v JOIN annotation_item i ON i.id = v.item_id
WHERE i.project_id = %s AND v.judge_id = %s AND v.purpose = 'judge'
"""
_SWAYED = """
SELECT DISTINCT p.item_id FROM feedback_preference p
JOIN feedback_adjudication said ON said.id = p.adjudication_id
JOIN annotation_item i ON i.id = p.item_id
JOIN annotation_judgment j ON j.id = ANY(said.seen_judgments)
JOIN annotation_assignment asg ON asg.id = j.assignment_id
JOIN annotation_annotator ann ON ann.id = asg.annotator_id
WHERE i.project_id = %s AND i.kind = %s AND p.criterion = %s AND p.is_newest
  AND ann.judge_id IS NOT NULL
"""
# How long any of its calls was out.
_BUSY = """
SELECT coalesce(sum(extract(epoch FROM upper(span) - lower(span))), 0)::float8 FROM (
  SELECT unnest(range_agg(
    tstzrange(call.created_at, greatest(call.created_at, call.finished_at)))) AS span
  FROM annotation_judgecall call JOIN annotation_judgerun run ON run.id = call.run_id
  WHERE run.project_id = %s AND call.judge_id = %s AND run.purpose = 'judge'
    AND call.state IN ('done', 'failed')
) spans
"""


def judges_of(project: Project) -> list[Judge]:
    """Those made here, and those of a file that have answers here; newest versions first."""
    answers = Assignment.objects.filter(annotator__judge=OuterRef("pk"), item__project=project)
    found = Judge.objects.filter(Q(project=project) | Q(Exists(answers), project=None))
    found = found.exclude(origin=Judge.Origin.DRAFT).select_related("model__provider")
    return list(found.order_by("name", "-version"))


def has_orders(judge: Judge) -> bool:
    """Whether it sees responses beside each other, so that their order can move it."""
    return judge.origin == Judge.Origin.IMPORTED or not spec_of(judge).texts.one_by_one


def family_of(judge: Judge) -> str:
    return judge.family or (judge.model.family if judge.model else "")


@dataclass(frozen=True)
class Texts:
    """Of items' responses, each [items, longest]: characters (NaN beyond a list's end), and 1
    where the judge's own family wrote it."""

    length: Floats
    own: Floats


def texts_of(items: Integers, longest: int, family: str) -> Texts:
    """`items` are ids, ascending and unique."""
    rows = fetch_columns(_RESPONSES, [family, family, items.tolist()], 4)
    length, own = (np.full((len(items), longest), np.nan) for _ in range(2))
    place, position = np.searchsorted(items, rows[0]), rows[1]
    length[place, position], own[place, position] = rows[2], rows[3]
    return Texts(length, own)


def tags_of(project: Project) -> dict[int, dict[str, Any]]:
    """By prompt; those without tags are left out."""
    rows = Prompt.objects.filter(project=project).exclude(tags={})
    return dict(rows.values_list("pk", "tags"))


def outcomes_of(project: Project, judge: Judge) -> list[Integers]:
    """Prompt, unparsable and failed (0 or 1) of every item that the judge was asked about."""
    return fetch_columns(_OUTCOMES, [project.pk, judge.pk], 3)


@dataclass(frozen=True)
class Verdicted:
    """What a judge said of one item; without an answer where it could not be read. `protocol`: by
    which criteria and guidelines it was asked."""

    item: int
    prompt: int
    purpose: str
    protocol: int | None
    answer: Given | None
    target: int | None


@dataclass(frozen=True)
class Asked:
    """What a judge said by one criterion on a project's items of a kind.

    Reasons and other criteria stay in the database: they can be far more than is measured.
    """

    project: Project
    judge: Judge
    kind: str
    criterion: str

    def verdicts(self, purpose: str, items: Sequence[int] | None = None) -> Iterator[Verdicted]:
        """Whose purpose begins so, of these items or of all."""
        rows = self._rows(purpose)
        if items is not None:
            rows = rows.filter(item__in=items)
        # A judgment may be older than the last run that took its item.
        protocol = "judgment__protocol" if purpose == JUDGE else "run__protocol"
        columns = (protocol, self._part("answer"), KeyTransform("target", "detail"))
        found = rows.values_list("item_id", "item__prompt_id", "purpose", *columns)
        for item, prompt, named, version, answer, target in found.iterator(chunk_size=2_000):
            yield Verdicted(item, prompt, named, version, answer or None, target)

    def chains(self) -> Iterator[tuple[int, int, Given]]:
        """Item, prompt and what was read in one order and sample."""
        found = self._rows(JUDGE).values_list("item_id", "item__prompt_id", self._part("raw"))
        for item, prompt, raw in found.iterator(chunk_size=2_000):
            for one in raw or ():
                yield item, prompt, one

    def _rows(self, purpose: str) -> QuerySet[JudgeVerdict]:
        return JudgeVerdict.objects.filter(
            judge=self.judge, item__project=self.project, item__kind=self.kind,
            purpose__startswith=purpose,
        ).exclude(outcome=JudgeVerdict.Outcome.FAILED)  # fmt: skip

    def _part(self, name: str) -> KeyTransform:
        return KeyTransform(name, KeyTransform(self.criterion, KeyTransform("criteria", "detail")))


def soft_labels(project: Project, judge: Judge, kind: str, criterion: str) -> Iterator[Given]:
    """Item and probabilities, where its protocol gives them."""
    rows = Answer.objects.filter(
        judgment__in=_current(project, judge, kind), criterion=criterion
    ).exclude(probabilities=None)
    names = ("judgment__assignment__item_id", "probabilities")
    for item, probabilities in rows.values_list(*names).iterator(chunk_size=2_000):
        yield {"item": item, "probabilities": probabilities}


def _current(project: Project, judge: Judge, kind: str) -> QuerySet[Judgment]:
    done = Assignment.objects.filter(
        annotator__judge=judge, item__project=project, item__kind=kind,
        occasion=Assignment.MAIN, state=Assignment.State.DONE,
    )  # fmt: skip
    return Judgment.objects.filter(pk__in=done.values("current"))


def accepted_without_judges(project: Project, kind: str, criterion: str) -> Iterator[Given]:
    """Decided outcomes in which no judge had a say.

    Where the reviewer who decided had a judge's answer in view, it is what people's votes had come
    to before, if they had. Leaving all such items out would favour a judge: that it opposes the
    votes is what brings an item to a reviewer.
    """
    swayed = fetch_columns(_SWAYED, [project.pk, kind, criterion], 1)[0].tolist()
    decided = Preference.objects.filter(
        item__project=project, item__kind=kind, criterion=criterion,
        state__in=Preference.DECIDED, support_judges=0, support_people__gt=0,
    )  # fmt: skip
    votes = Preference.objects.filter(item__in=swayed, criterion=criterion, adjudication=None)
    last = votes.order_by("item_id", "-pk").distinct("item_id").values("pk")
    newest = decided.filter(is_newest=True).exclude(item__in=swayed)
    for rows in (newest, decided.filter(pk__in=last)):
        found = rows.values_list("item_id", "outcome")
        for item, outcome in found.iterator(chunk_size=5_000):
            yield {"item": item, "outcome": outcome}


@dataclass(frozen=True)
class Costs:
    """Of the calls that judged; `unpriced` were made while no price was known. `seconds` are of one
    call after the other, `clock` of the clock while any was out."""

    calls: int
    failed: int
    unpriced: int
    judged: int
    dollars: float
    seconds: float
    clock: float
    has_price: bool


def costs_of(project: Project, judge: Judge) -> Costs:
    calls = JudgeCall.objects.filter(
        judge=judge, run__project=project, run__purpose=JudgeRun.Purpose.JUDGE
    )
    # One from before this was kept with the call tells by its cost alone; and so does one that came
    # back after a price was entered.
    untold = Q(parameters__priced__isnull=True, state=JudgeCall.State.DONE)
    unpriced = Q(settled_cost=0) & (Q(parameters__priced=False) | untold)
    sums = calls.aggregate(
        calls=Count("pk"), failed=Count("pk", filter=Q(state=JudgeCall.State.FAILED)),
        unpriced=Count("pk", filter=unpriced),
        dollars=Sum("settled_cost"), milliseconds=Sum("latency_ms"),
    )  # fmt: skip
    judged = JudgeVerdict.objects.filter(
        judge=judge, item__project=project, purpose=JUDGE, outcome=JudgeVerdict.Outcome.JUDGED
    )
    with connection.cursor() as cursor:
        cursor.execute(_BUSY, [project.pk, judge.pk])
        (clock,) = cursor.fetchone()
    return Costs(
        calls=sums["calls"],
        failed=sums["failed"],
        unpriced=sums["unpriced"],
        judged=judged.count(),
        dollars=float(sums["dollars"] or 0),
        seconds=(sums["milliseconds"] or 0) / 1000,
        clock=clock,
        has_price=judge.model is not None and judge.model.prices.exists(),
    )


def standing_of(kind: str, answer: Given, target: int) -> float:
    """How well the response at `target` does in an answer: higher is better."""
    if kind == Kind.PAIRWISE:
        return float(np.sign(answer["strength"])) * (1 if target == 0 else -1)
    if kind == Kind.LISTWISE:
        return -float(answer["ranks"][target])
    return float(answer["thumb"])


def best_standing(kind: str) -> float:
    return -1.0 if kind == Kind.LISTWISE else 1.0


def ids(values: Sequence[int]) -> Integers:
    return np.array(values, dtype=np.int64)
