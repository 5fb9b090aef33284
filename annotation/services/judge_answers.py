"""Rewards: what a judge thinks of answers that a model in training gives, through the call store.

The same answer to the same prompt is asked about once, however often it is sampled.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from decimal import Decimal
from statistics import fmean
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.judging.content import THUMBS, ItemContent
from annotation.judging.protocol import JudgeSpec, check_spec
from annotation.llm.errors import CallFailed
from annotation.models import Judge, JudgeRun, Project, Protocol
from annotation.selectors.judge import criteria_of, provider_of, spec_of
from annotation.services.call_store import CallStore
from annotation.services.judge_asking import Asker
from annotation.services.judge_budget import check_budget
from annotation.services.judge_desk import JUDGED, Desk, Ended, Subject
from annotation.services.judge_price import check_price
from annotation.services.judge_run import checked_cap, raise_cap
from annotation.services.judge_source import protocol_of
from annotation.services.judge_work import OUT_OF_BUDGET, Ending, Work
from annotation.services.perform_judge_run import (
    PATIENCE_SECONDS,
    out_of_budget,
    plan_of,
)
from annotation.services.project import freeze_protocol
from core.errors import PrefloopError
from core.models import User

logger = logging.getLogger(__name__)

Messages = Sequence[Mapping[str, Any]]
# Of a batch: with fewer judged than that, the others say nothing about the rest.
LEAST_JUDGED = 0.5
# The processes of one training run ask one after the other, as one worker of the call store.
_ASKING = threading.Lock()


@transaction.atomic
def reward_run(
    *,
    project: Project,
    judge: Judge,
    cap: Decimal,
    selection: Mapping[str, Any],
    created_by: User | None = None,
) -> JudgeRun:
    """The run of this selection, the same one when asked again: what is spent stays spent."""
    problems = check_spec(spec_of(judge), THUMBS)
    if problems:
        raise PrefloopError(
            f"{judge} cannot reward answers, which are judged one by one: {' '.join(problems)}"
        )
    check_price(judge=judge, selection=selection, purpose=JudgeRun.Purpose.REWARD)
    cap = checked_cap(Decimal(cap))
    known = JudgeRun.objects.filter(
        project=project,
        judge=judge,
        purpose=JudgeRun.Purpose.REWARD,
        selection=dict(selection),
    )
    run = known.select_for_update(no_key=True).first()
    if run is None:
        return _new_run(project, judge, cap, selection, created_by)
    JudgeRun.objects.filter(pk=run.pk).update(resumed_at=timezone.now())
    run.refresh_from_db()
    if run.cap < cap:
        raise_cap(run=run, cap=cap, actor=created_by)
    return run


def _new_run(
    project: Project,
    judge: Judge,
    cap: Decimal,
    selection: Mapping[str, Any],
    created_by: User | None,
) -> JudgeRun:
    check_budget(project=project, cap=cap, actor=created_by)
    protocol = project.protocol
    freeze_protocol(protocol=protocol)
    return JudgeRun.objects.create(
        project=project,
        judge=judge,
        purpose=JudgeRun.Purpose.REWARD,
        protocol=protocol,
        selection=dict(selection),
        cap=cap,
        created_by=created_by,
    )


def judge_answers(
    *,
    run: JudgeRun,
    answers: Sequence[tuple[Messages, str]],
    patience: float = PATIENCE_SECONDS,
) -> list[float]:
    """A reward from 0 to 1 for each prompt and answer, in order: the mean over the criteria.

    A score counts as its place on its scale, a yes as its probability where there is one. What
    could not be read, or failed alone, gets the lowest reward of the others, so that a policy
    gains nothing by answers that break its judge; where that is most of them, and where the cap
    or the endpoint gives no more, PrefloopError says so.
    """
    run = JudgeRun.objects.select_related("judge__model__provider", "project").get(pk=run.pk)
    contents = _contents(protocol_of(run), answers)
    ended: dict[int, Ended] = {}
    try:
        with _ASKING:
            ending = _work(run, contents, ended, patience)
    except CallFailed as failure:  # before the first call: its key, or its address
        raise PrefloopError(f"{run.judge} cannot be asked: {failure}") from failure
    if ending.why == OUT_OF_BUDGET:
        run.refresh_from_db()
        raise PrefloopError(
            f"{run.judge}: {out_of_budget(run)} {ending.reason} Raise the cap (manage.py judge "
            f"--resume {run.pk} --cap DOLLARS), then resume the training run."
        )
    if ending.why:
        raise PrefloopError(f"{run.judge} answers no call: {ending.reason} Resume when it does.")
    return _rewards(run, [ended.get(number) for number in range(len(answers))])


def _work(
    run: JudgeRun, contents: Sequence[ItemContent], ended: dict[int, Ended], patience: float
) -> Ending:
    provider = provider_of(run.judge)

    def keep(some: Sequence[Ended]) -> None:
        ended.update({one.subject.number: one for one in some})

    asker = Asker(plan_of(run, provider, patience), Desk(enough=max(1, provider.concurrency // 4)))
    store = CallStore(run, timeout_seconds=provider.timeout_seconds)
    source = _Contents(contents)
    return Work(asker, store, source, guard=transaction.atomic, keep=keep).perform()


class _Contents:
    def __init__(self, contents: Sequence[ItemContent]) -> None:
        self._left = list(enumerate(contents))

    def page(self, size: int) -> list[Subject]:
        page, self._left = self._left[:size], self._left[size:]
        return [Subject(number, content, "reward") for number, content in page]


def _contents(protocol: Protocol, answers: Sequence[tuple[Messages, str]]) -> list[ItemContent]:
    criteria = criteria_of(protocol)
    return [
        ItemContent(
            kind=THUMBS,
            prompt=tuple(prompt),
            responses=(({"role": "assistant", "content": answer},),),
            criteria=criteria,
            guidelines=protocol.guidelines,
        )
        for prompt, answer in answers
    ]


def _rewards(run: JudgeRun, ended: Sequence[Ended | None]) -> list[float]:
    spec = spec_of(run.judge)
    known = [_reward(spec, one) if one and one.outcome == JUDGED else None for one in ended]
    judged = [value for value in known if value is not None]
    if ended and len(judged) < LEAST_JUDGED * len(ended):
        raise PrefloopError(
            f"{run.judge} could judge {len(judged)} of {len(ended)} answers only: {_why(ended)}"
        )
    lowest, unjudged = min(judged, default=0.0), len(known) - len(judged)
    if unjudged:
        logger.warning(
            "%s could not judge %d of %d answers (%.0f %%); they get the lowest reward, %.3g.",
            run.judge, unjudged, len(known), 100 * unjudged / len(known), lowest,
        )  # fmt: skip
    return [lowest if value is None else value for value in known]


def _reward(spec: JudgeSpec, ended: Ended) -> float:
    criteria = ended.combined.criteria.values() if ended.combined else ()
    return fmean(
        _placed(spec, one.scores[0])
        if one.scores
        else (one.probabilities[0] if one.probabilities else float(one.thumb or 0))
        for one in criteria
    )


def _placed(spec: JudgeSpec, score: float) -> float:
    low, high = spec.format.scale or (0, 1)
    return (score - low) / (high - low)


def _why(ended: Sequence[Ended | None]) -> str:
    for one in ended:
        if one is not None and one.failure is not None:
            return one.failure.message
        if one is not None and one.combined is not None and one.combined.error:
            return one.combined.error
    return "its replies could not be read."
