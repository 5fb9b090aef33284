"""Runs of a judge: estimated, started by a person, paused, resumed and stopped."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_UP, Decimal
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from annotation.models import Judge, JudgeRun, Project, ProjectJudge
from annotation.selectors.judge import provider_of
from annotation.selectors.judge_items import JudgeItems, Takes
from annotation.selectors.judge_left import why_none
from annotation.selectors.judge_pages import TRIED
from annotation.services.judge_budget import check_budget
from annotation.services.judge_estimate import CENT, RunEstimate, estimated
from annotation.services.judge_price import check_price
from annotation.services.project import freeze_protocol
from core import jobs
from core.errors import Conflict, PrefloopError
from core.models import Job, User
from core.services.audit import record_event

KIND = "judge"
Purpose = JudgeRun.Purpose
# Enough for an interval of some per cent; more is asked for by `limit`.
SAMPLE = 200
SAMPLED = (Purpose.REPEAT, Purpose.CANARY)
MOST_NAMED = 100_000
KEYS = {"takes", "items", "limit", "again", "attacks", "unpriced"}
MOST_MONEY = Decimal(999_999)


def estimate_run(
    *,
    project: Project,
    judge: Judge,
    selection: Mapping[str, Any] | None = None,
    purpose: str = Purpose.JUDGE,
) -> RunEstimate:
    """From the sizes of the items' texts, of a hundred of them when there are many."""
    chosen = checked_selection(project, judge, selection or {}, purpose)
    return estimated(JudgeRun(project=project, judge=judge, purpose=purpose, selection=chosen))


def checked_selection(
    project: Project, judge: Judge, selection: Mapping[str, Any], purpose: str
) -> dict[str, Any]:
    """With the items drawn and numbered where only a sample is asked again."""
    if purpose not in Purpose.values:
        raise PrefloopError(f"There is no purpose “{purpose}”.", field="purpose")
    if judge.project_id != project.pk:
        raise PrefloopError(f"{judge} cannot be asked in “{project}”: it was not made there.")
    if judge.origin == Judge.Origin.DRAFT and purpose != Purpose.TRIAL:
        raise PrefloopError(
            f"{judge} is a text that is not saved, so it can only be tried. Save it as a template, "
            "then make a judge of it."
        )
    provider_of(judge)
    unknown = sorted(set(selection) - KEYS)
    if unknown:
        raise PrefloopError(f"A selection has no “{unknown[0]}”.", field="selection")
    chosen = dict(selection)
    limit = chosen.get("limit")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise PrefloopError("A limit is a whole number, 1 or more.", field="limit")
    items = chosen.get("items")
    if items is not None and not _are_numbers(items):
        raise PrefloopError(
            f"Items are given by number, {MOST_NAMED:,} at most.", field="selection"
        )
    takes = _choice_of(project, judge, purpose)
    if items is None and chosen.setdefault("takes", takes) not in Takes.values:
        raise PrefloopError(f"There is no choice “{chosen['takes']}”.", field="takes")
    if purpose == Purpose.TRIAL:
        return _tried(chosen)
    return _drawn(project, judge, chosen, purpose) if purpose in SAMPLED else chosen


def _choice_of(project: Project, judge: Judge, purpose: str) -> str:
    """What the project has chosen for it; where nobody has chosen yet, all items."""
    choice = ProjectJudge.objects.filter(project=project, judge=judge).first()
    if choice is None:
        return Takes.ALL
    if choice.takes != Takes.NONE:
        return choice.takes
    if purpose == Purpose.JUDGE:
        raise PrefloopError(
            f"The project has decided that {judge} takes no items. Choose on the judge's page "
            "which ones it takes, then run it.",
            field="takes",
        )
    return Takes.ALL


def _tried(chosen: dict[str, Any]) -> dict[str, Any]:
    """A trial may go without a price or a choice of the project's: it is never many items."""
    if "items" not in chosen:
        return chosen | {"limit": min(chosen.get("limit") or TRIED, TRIED)}
    if len(chosen["items"]) > TRIED:
        raise PrefloopError(f"A trial takes {TRIED} items at most.", field="selection")
    return chosen


def _are_numbers(items: Any) -> bool:
    return (
        isinstance(items, list)
        and 0 < len(items) <= MOST_NAMED
        and all(type(item) is int and 0 < item < 2**63 for item in items)
    )


def _drawn(project: Project, judge: Judge, chosen: dict[str, Any], purpose: str) -> dict[str, Any]:
    """Drawn now, so that a run that goes on finds the same items; others in each run."""
    earlier = list(judge.runs.filter(purpose=purpose).values_list("selection", flat=True))
    name = str(purpose)
    if purpose == Purpose.REPEAT:
        name = chosen["purpose"] = f"repeat {len(earlier) + 1}"
    else:
        # The attacks go on where the last run has stopped.
        chosen["shift"] = sum(len(one.get("items", [])) for one in earlier)
    items = JudgeItems(judge, project, chosen, purpose=name)
    size = chosen.pop("limit", None) or SAMPLE
    chosen["items"] = items.sample(size, seed=f"{judge.pk} {len(earlier)}")
    return chosen


@transaction.atomic
def queue_run(
    *,
    project: Project,
    judge: Judge,
    created_by: User | None,
    cap: Decimal,
    selection: Mapping[str, Any] | None = None,
    purpose: str = Purpose.JUDGE,
) -> JudgeRun:
    """The run and its job. `cap` in dollars: never more than that is spent or reserved."""
    if purpose == Purpose.REWARD:
        raise PrefloopError("Rewards are asked for by a training run.", field="purpose")
    cap = checked_cap(cap)
    chosen = checked_selection(project, judge, selection or {}, purpose)
    told = estimated(JudgeRun(project=project, judge=judge, purpose=purpose, selection=chosen))
    if not told.items:
        why = why_none(project, judge, chosen, purpose)
        raise PrefloopError(f"No item is left for this choice. {why}")
    check_price(judge=judge, selection=chosen, purpose=purpose)
    # It locks the project, so its criteria and guidelines cannot be edited before they are frozen.
    check_budget(project=project, cap=cap, actor=created_by)
    protocol = project.protocol
    freeze_protocol(protocol=protocol)
    run = JudgeRun.objects.create(
        project=project,
        judge=judge,
        purpose=purpose,
        protocol=protocol,
        selection=chosen,
        cap=cap,
        estimate=told.to_json(),
        created_by=created_by,
    )
    run.job = jobs.enqueue(
        KIND,
        args={"run": run.pk},
        created_by=created_by,
        project_id=project.pk,
        idempotency_key=f"{KIND}:{run.uuid}",
    )
    run.save(update_fields=["job"])
    _record(run, created_by, "start_judge_run")
    return run


def checked_cap(cap: Decimal) -> Decimal:
    if not cap.is_finite() or not 0 <= cap <= MOST_MONEY:
        raise PrefloopError(f"A cap is between $0 and ${MOST_MONEY:,}.", field="cap")
    return cap


def _job(run: JudgeRun) -> Job:
    if run.job is None:
        raise PrefloopError("The rewards of a training run are stopped with that run.")
    return run.job


@transaction.atomic
def pause_run(*, run: JudgeRun, actor: User | None = None) -> JudgeRun:
    """Calls that are out come back first; everything else waits until it is resumed."""
    job = _job(run)
    if job.is_over:
        raise Conflict("The run has ended, so there is nothing to pause.")
    JudgeRun.objects.filter(pk=run.pk, paused_at=None).update(paused_at=timezone.now())
    jobs.request_cancel(job=job)
    _record(run, actor, "pause_judge_run")
    run.refresh_from_db()
    return run


@transaction.atomic
def stop_run(*, run: JudgeRun, actor: User | None = None) -> JudgeRun:
    """As a pause, and said to be the end of it; it can be resumed all the same."""
    job = _job(run)
    if job.state == Job.State.SUCCEEDED:
        raise Conflict("The run has ended, so there is nothing to stop.")
    JudgeRun.objects.filter(pk=run.pk).update(paused_at=None)
    if not job.is_over:
        jobs.request_cancel(job=job)
    _record(run, actor, "stop_judge_run")
    run.refresh_from_db()
    return run


@transaction.atomic
def resume_run(*, run: JudgeRun, actor: User | None = None, cap: Decimal | None = None) -> JudgeRun:
    """Goes on where it stopped, under a new cap if one is given."""
    job = _job(run)
    provider_of(run.judge)
    _check_helps(run, run.cap if cap is None else cap)
    if cap is not None:
        raise_cap(run=run, cap=cap, actor=actor)
    else:
        check_budget(project=run.project, cap=run.cap, actor=None, run=run)
    jobs.resume(job=job)
    JudgeRun.objects.filter(pk=run.pk).update(paused_at=None, resumed_at=timezone.now())
    _record(run, actor, "resume_judge_run")
    run.refresh_from_db()
    return run


def _check_helps(run: JudgeRun, cap: Decimal) -> None:
    if cap < run.least_cap:
        raise PrefloopError(
            f"Under a cap of ${cap.normalize():f} the run would stop again at once: its next call "
            f"needs one of ${run.least_cap.normalize():f} at least. All that is left fits under "
            f"${cap_to_finish(run=run).normalize():f}.",
            field="cap",
        )


def cap_to_finish(*, run: JudgeRun) -> Decimal:
    """What is booked, and what the items that are left may cost."""
    needed = run.settled + run.overrun + run.reserved + estimated(run).suggested_cap
    return min(max(needed, run.least_cap).quantize(CENT, rounding=ROUND_UP), MOST_MONEY)


@transaction.atomic
def raise_cap(*, run: JudgeRun, cap: Decimal, actor: User | None = None) -> JudgeRun:
    """Another cap, also of a run that is going on; not below what is spent and reserved."""
    cap = checked_cap(cap)
    locked = JudgeRun.objects.select_for_update(no_key=True).get(pk=run.pk)
    booked = locked.settled + locked.overrun + locked.reserved
    if cap < booked:
        raise PrefloopError(
            f"${booked:.4f} are spent or reserved already; the cap cannot be lower.",
            field="cap",
        )
    if cap > locked.cap or _is_over(locked):
        check_budget(project=run.project, cap=cap, actor=actor, run=run)
    JudgeRun.objects.filter(pk=run.pk).update(
        cap=cap, settled=F("settled") + F("overrun"), overrun=0
    )
    _record(run, actor, "change_judge_budget", cap=str(cap), before=str(locked.cap))
    run.refresh_from_db()
    return run


def _is_over(run: JudgeRun) -> bool:
    return run.job is not None and run.job.is_over


def _record(run: JudgeRun, actor: User | None, action: str, **detail: Any) -> None:
    record_event(
        actor=actor,
        action=action,
        target=run,
        project_id=run.project_id,
        detail={"judge": str(run.judge), "cap": str(run.cap), **detail},
    )
