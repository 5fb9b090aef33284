"""The job of a judge's run: from its rows to the two threads, and back to what the job says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.utils import timezone

from annotation.llm.client import LlmClient
from annotation.llm.errors import CallFailed
from annotation.models import JudgeCall, JudgeRun, Provider
from annotation.selectors.judge import judge_key, price_of, provider_of
from annotation.services.annotator import annotator_for_judge
from annotation.services.call_store import CallStore
from annotation.services.judge_asking import Asker, Plan
from annotation.services.judge_canary import source_of
from annotation.services.judge_desk import Desk, Ended, Subject
from annotation.services.judge_estimate import estimated
from annotation.services.judge_rows import CallRows
from annotation.services.judge_source import protocol_of, spec_for
from annotation.services.judge_verdict import record_verdicts
from annotation.services.judge_work import OUT_OF_BUDGET, OUTAGE, Counts, Ending, Source, Work
from core.errors import PrefloopError
from core.jobs import Cancelled, EndedEarly, JobContext

# How long a call waits for an endpoint that is down before it fails, and the run may pause.
PATIENCE_SECONDS = 120.0


def perform_run(context: JobContext, *, patience: float = PATIENCE_SECONDS) -> dict[str, Any]:
    """Goes on where the run stands: what is answered is not asked again."""
    run = JudgeRun.objects.select_related("judge__model__provider", "project", "protocol").get(
        pk=context.args["run"]
    )
    provider = provider_of(run.judge)
    source = source_of(run)
    plan = plan_of(run, provider, patience)
    asker = Asker(plan, Desk(enough=_enough(provider)))
    store = CallStore(run, timeout_seconds=provider.timeout_seconds)
    annotator = annotator_for_judge(judge=run.judge)

    def keep(ended: Sequence[Ended]) -> None:
        record_verdicts(run=run, annotator=annotator, ended=ended)

    counts = _counts(run)
    show = partial(_show, context, source.total, asker, _forecast(run, counts))
    work = Work(
        asker,
        store,
        _Repriced(source, run, plan.rows),
        guard=context.fenced,
        keep=keep,
        tick=show,
        counts=counts,
    )
    try:
        ending = work.perform()
    except CallFailed as failure:  # before the first call: its key, or its address
        raise PrefloopError(f"{provider} cannot be asked: {failure}") from failure
    _end(run, ending, work.counts, source.total)
    return told(work.counts)


@dataclass(frozen=True)
class _Repriced:
    """A price that an admin enters holds from the next page on."""

    source: Source
    run: JudgeRun
    rows: CallRows

    def page(self, size: int) -> list[Subject]:
        self.rows.price = price_of(self.run.judge)
        return self.source.page(size)


def plan_of(run: JudgeRun, provider: Provider, patience: float) -> Plan:
    rows = CallRows(
        spec_for(run),
        judge_key(run.judge),
        price_of(run.judge),
        guidelines=protocol_of(run).version,
    )
    client = partial(LlmClient, provider, patience=patience)
    return Plan(rows, settings.SECRET_KEY.encode(), provider.concurrency, client)


def _enough(provider: Provider) -> int:
    """A batch need not be larger than what can be out at once."""
    return max(1, min(50, provider.concurrency // 4))


def _counts(run: JudgeRun) -> Counts:
    """What an earlier worker of this run has done."""
    counts = Counts()
    calls = JudgeCall.objects.filter(run=run).exclude(state=JudgeCall.State.INTENDED).order_by()
    counts.calls.update(dict(calls.values_list("state").annotate(n=Count("pk"))))
    verdicts = run.verdicts.order_by().values_list("outcome").annotate(n=Count("pk"))
    counts.items.update(dict(verdicts))
    return counts


@dataclass(frozen=True)
class _Forecast:
    """By past calls, for as long as no item has come to its end since the worker began."""

    seconds: float | None
    done: int
    begun: float

    def left(self, counts: Counts) -> float | None:
        if self.seconds is None or counts.done > self.done:
            return None
        left = self.seconds - (time.monotonic() - self.begun)
        return left if left > 0 else None


def _forecast(run: JudgeRun, counts: Counts) -> _Forecast:
    return _Forecast(estimated(run).seconds, counts.done, time.monotonic())


def _show(
    context: JobContext, total: int, asker: Asker, forecast: _Forecast, counts: Counts
) -> bool:
    """False when somebody asked the run to pause or stop."""
    sent = asker.sent()
    try:
        context.progress(
            done=counts.done,
            total=max(total, counts.done),
            message="Judging",
            seconds_left=forecast.left(counts),
            out=len(sent),
            oldest_sent_at=min(sent, default=None),
            **told(counts),
        )
    except Cancelled:
        return False
    return True


def told(counts: Counts) -> dict[str, Any]:
    return {
        "items": dict(counts.items),
        "calls": dict(counts.calls),
        "failures": dict(counts.failures),
        "newest": [f"{one.kind}: {one.message}" for one in counts.newest],
    }


def out_of_budget(run: JudgeRun) -> str:
    spent = f"${(run.settled + run.overrun).normalize():f} are spent"
    if run.overrun:
        spent += (
            f", ${run.overrun.normalize():f} more than the cap: the provider counted more tokens "
            "than it was asked for"
        )
    return f"The cap of ${run.cap.normalize():f} holds no further call: {spent}."


def _end(run: JudgeRun, ending: Ending, counts: Counts, total: int) -> None:
    """What is judged stays judged, however the run ends."""
    done = f"{counts.done:,} of {total:,} items are done, {max(0, total - counts.done):,} are left"
    if ending.why == OUT_OF_BUDGET:
        run.refresh_from_db()
        least = run.settled + run.overrun + ending.cost
        raise EndedEarly(
            f"{out_of_budget(run)} {ending.reason} {done}. Raise the cap and resume.",
            stopped_by=JudgeRun.BY_CAP,
            least=str(least),
        )
    if ending.why == OUTAGE:
        JudgeRun.objects.filter(pk=run.pk, paused_at=None).update(paused_at=timezone.now())
        raise PrefloopError(
            f"Paused, because the provider answers no call: {ending.reason} {done}. "
            "Resume when it answers again."
        )
    if ending.why:
        raise Cancelled
