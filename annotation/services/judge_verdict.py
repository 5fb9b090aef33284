"""What a judge's calls came to, written with the judgment that it is; once an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.judging.outcome import CombinedCriterion
from annotation.models import Annotator, Item, JudgeRun, Judgment
from annotation.services.judge_desk import JUDGED, Ended
from annotation.services.judge_rows import storable_json
from annotation.services.judge_source import protocol_of
from annotation.services.judgment_import import NewJudgment, record_judgments

_JUDGMENTS = """
SELECT item_id, current_id FROM annotation_assignment
WHERE annotator_id = %s AND item_id = ANY(%s) AND occasion = 'main'
"""
# A verdict that was in vain may be asked for again; one that was judged stands, until the judge
# has been asked anew under another protocol. Where that was in vain its older judgment stays, as
# that of an item which was not asked anew.
_WRITE = """
INSERT INTO annotation_judgeverdict (judge_id, run_id, purpose, created_at, item_id, outcome,
    judgment_id, calls, detail)
SELECT %s, %s, one.purpose, %s, one.item, one.outcome, one.judgment, one.calls::bigint[],
    one.detail::jsonb
FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[])
    AS one (purpose, item, outcome, judgment, calls, detail)
ON CONFLICT (judge_id, item_id, purpose) DO UPDATE SET run_id = EXCLUDED.run_id,
    created_at = EXCLUDED.created_at, outcome = EXCLUDED.outcome,
    judgment_id = EXCLUDED.judgment_id, calls = EXCLUDED.calls, detail = EXCLUDED.detail
WHERE annotation_judgeverdict.outcome <> 'judged'
    OR EXCLUDED.judgment_id <> annotation_judgeverdict.judgment_id
    OR EXCLUDED.outcome <> 'judged' AND EXISTS (
        SELECT 1 FROM annotation_judgment older
        WHERE older.id = annotation_judgeverdict.judgment_id AND older.protocol_id <> %s)
"""


def record_verdicts(*, run: JudgeRun, annotator: Annotator, ended: Sequence[Ended]) -> None:
    """In the caller's transaction. Only verdicts of purpose `judge` become judgments."""
    judged = [one for one in ended if one.outcome == JUDGED and one.subject.purpose == "judge"]
    judgments = _record(run, annotator, judged) if judged else {}
    rows = [
        (
            one.subject.purpose,
            one.subject.item,
            one.outcome,
            judgments.get(one.subject.item) if one.subject.purpose == "judge" else None,
            f"{{{','.join(map(str, one.calls))}}}",
            storable_json(_detail(one)),
        )
        for one in ended
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    with connection.cursor() as cursor:
        values: list[Any] = [run.judge_id, run.pk, timezone.now(), *columns, protocol_of(run).pk]
        cursor.execute(_WRITE, values)


def _record(
    run: JudgeRun, annotator: Annotator, judged: Sequence[Ended]
) -> Mapping[int | None, int]:
    record_judgments(
        project=run.project,
        judgments=[_judgment(one, annotator) for one in judged],
        origin=Judgment.Origin.JUDGE,
        protocol=run.protocol,
    )
    with connection.cursor() as cursor:
        cursor.execute(_JUDGMENTS, [annotator.pk, [one.subject.item for one in judged]])
        return dict(cursor.fetchall())


def _judgment(one: Ended, annotator: Annotator) -> NewJudgment:
    content, combined = one.subject.content, one.combined
    criteria = combined.criteria if combined is not None else {}
    return NewJudgment(
        item=Item(pk=one.subject.item, kind=content.kind),
        annotator=annotator,
        answers={key: _value(value) for key, value in criteria.items()},
        shown_order=_shown_order(one),
        probabilities={
            key: value.probabilities
            for key, value in criteria.items()
            if value.probabilities is not None
        },
        duration_ms=one.duration_ms,
    )


def _shown_order(one: Ended) -> tuple[int, ...]:
    """The one in which all calls saw the responses; where they saw several, the canonical one.

    Those are no order in which the judge has answered: see `raw` of its verdict's detail.
    """
    canonical = tuple(range(len(one.subject.content.responses)))
    criteria = one.combined.detail.get("criteria", {}) if one.combined is not None else {}
    orders = {tuple(raw["shown_order"]) for each in criteria.values() for raw in each["raw"]}
    only = orders.pop() if len(orders) == 1 else canonical
    return only if len(only) == len(canonical) else canonical


def _value(value: CombinedCriterion) -> AnswerValue:
    return AnswerValue(
        strength=value.strength, both_bad=value.both_bad, ranks=value.ranks, thumb=value.thumb
    )


def _detail(one: Ended) -> dict[str, Any]:
    if one.combined is not None:
        return {**one.combined.detail, **one.subject.note}
    if one.failure is None:
        return dict(one.subject.note)
    return {"error": one.failure.message, "kind": one.failure.kind, **one.subject.note}
