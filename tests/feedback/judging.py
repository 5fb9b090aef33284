"""Verdicts of judges as a run leaves them: rows, and nothing is asked; what a card says of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from annotation.models import (
    Annotator,
    Item,
    Judge,
    JudgeCall,
    JudgeRun,
    JudgeVerdict,
    Kind,
)
from core.models import Job
from feedback.models import JudgeReport
from tests.feedback.votes import vote

Outcome = JudgeVerdict.Outcome


def annotator_of_judge(judge: Judge) -> Annotator:
    return Annotator.objects.get_or_create(judge=judge)[0]


def make_run(judge: Judge, purpose: str = "judge", **fields: Any) -> JudgeRun:
    assert judge.project is not None
    return JudgeRun.objects.create(
        judge=judge, project=judge.project, purpose=purpose, cap=Decimal(10),
        **{"protocol": judge.project.protocol, **fields},
    )  # fmt: skip


def ended_job(**fields: Any) -> Job:
    return Job.objects.create(kind="judge", state=Job.State.SUCCEEDED, **fields)


def say(
    judge: Judge,
    item: Item,
    answer: Any,
    *,
    orders: tuple[Any, ...] = (),
    purpose: str = "judge",
    run: JudgeRun | None = None,
    probabilities: list[float] | None = None,
    **detail: Any,
) -> JudgeVerdict:
    """`answer` as in `vote`; `orders`: what it said in the canonical order and in its reverse."""
    column = {Kind.PAIRWISE: "strength", Kind.LISTWISE: "ranks", Kind.THUMBS: "thumb"}
    name = column[Kind(item.kind)]
    size = item.item_responses.count()
    shown = [list(range(size)), list(reversed(range(size)))]
    raw = [
        {"shown_order": order, "sample": 0, name: value}
        for order, value in zip(shown, orders, strict=False)
    ]
    judgment = None
    if purpose == "judge":
        judgment = vote(item, annotator_of_judge(judge), answer, probabilities=probabilities)
    return JudgeVerdict.objects.create(
        judge=judge,
        item=item,
        run=run or make_run(judge),
        purpose=purpose,
        outcome=Outcome.JUDGED,
        judgment=judgment,
        detail={"criteria": {"overall": {"answer": {name: answer}, "raw": raw}}, **detail},
    )


def unread(judge: Judge, item: Item, *, outcome: str = Outcome.UNPARSABLE) -> JudgeVerdict:
    return JudgeVerdict.objects.create(
        judge=judge, item=item, run=make_run(judge), purpose="judge", outcome=outcome
    )


def call(judge: Judge, item: Item, run: JudgeRun, key: str, **fields: Any) -> JudgeCall:
    return JudgeCall.objects.create(
        judge=judge, item=item, run=run, call_key=key, purpose="judge/verdict",
        **{"state": JudgeCall.State.DONE, **fields},
    )  # fmt: skip


def figures(report: JudgeReport) -> dict[str, Any]:
    return dict(report.figures["sections"][0]["figures"])


def value(report: JudgeReport, key: str) -> float | None:
    found: float | None = figures(report)[key]["value"]
    return found
