"""Judgments of the tests, written as an import writes them: done, without a slot."""

from __future__ import annotations

import itertools
from typing import Any

from annotation.models import (
    Annotator,
    Answer,
    Assignment,
    Item,
    Judge,
    Judgment,
    Kind,
    Project,
    Side,
)
from feedback.models import JudgeReport, JudgeStanding
from feedback.services.judge_gate import current_gate
from tests.cast import make_item, make_prompt

_keys = itertools.count(1)


def worker(name: str) -> Annotator:
    return Annotator.objects.get_or_create(source="tests", external_id=name)[0]


def judge_annotator(name: str = "gpt-4") -> Annotator:
    judge, _ = Judge.objects.get_or_create(
        name=name, version=1, defaults={"origin": Judge.Origin.IMPORTED, "model_name": name}
    )
    return Annotator.objects.get_or_create(judge=judge)[0]


def open_gate(
    project: Project, annotator: Annotator, *kinds: str, criterion: str = "overall"
) -> JudgeStanding:
    """As if this judge had been measured by this criterion on these kinds (all of them), and had
    passed."""
    judge = annotator.judge
    assert judge is not None
    sections = [{"kind": kind, "criterion": criterion} for kind in kinds or Kind.values]
    report = JudgeReport.objects.create(
        project=project, judge=judge, figures={"sections": sections}, verdicts=0, judgments=0
    )
    gate = current_gate(project)
    return JudgeStanding.objects.create(
        project=project, judge=judge, report=report, gate=gate, is_open=True
    )


def vote(
    item: Item, annotator: Annotator | str, value: Any, *, criterion: str = "overall", **fields: Any
) -> Judgment:
    """`value`: a strength, a list of ranks or a thumb, as the item's kind has it."""
    who = worker(annotator) if isinstance(annotator, str) else annotator
    assignment = Assignment.objects.create(
        item=item,
        annotator=who,
        shown_order=fields.pop("shown_order", None) or list(range(item.item_responses.count())),
        takes_slot=False,
        state=Assignment.State.EXPIRED,
        occasion=fields.pop("occasion", Assignment.MAIN),
    )
    state = fields.pop("state", Assignment.State.DONE)
    return revise(assignment, value, criterion=criterion, state=state, **fields)


def revise(
    assignment: Assignment,
    value: Any,
    *,
    criterion: str = "overall",
    state: str = Assignment.State.DONE,
    active_ms: int | None = None,
    **fields: Any,
) -> Judgment:
    judgment = Judgment.objects.create(
        assignment=assignment,
        revision=assignment.judgments.count() + 1,
        protocol=assignment.item.project.protocol,
        client_key=f"tests {next(_keys)}",
        origin=Judgment.Origin.IMPORT,
        active_ms=active_ms,
    )
    column = {Kind.PAIRWISE: "strength", Kind.LISTWISE: "ranks", Kind.THUMBS: "thumb"}
    named = {column[Kind(assignment.item.kind)]: value}
    Answer.objects.create(judgment=judgment, criterion=criterion, **named, **fields)
    Assignment.objects.filter(pk=assignment.pk).update(current=judgment, state=state)
    return judgment


def judged(
    project: Project, kind: str, *values: Any, side: str = Side.TRAIN, **fields: Any
) -> Item:
    """An item on a prompt of its own with one vote a value, by workers a, b, c, …"""
    item = make_item(project, kind=kind, prompt=make_prompt(project, side=side), **fields)
    for name, value in zip("abcdefgh", values, strict=False):
        vote(item, name, value)
    return item
