"""Runs of a judge: estimated, started by a person, paused, resumed and stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import ROUND_UP, Decimal
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Avg, Count, F
from django.utils import timezone

from annotation.judging.asking import SHOWN_OF_A_BAD_REPLY, chains, most_calls, next_request
from annotation.judging.content import ItemContent
from annotation.judging.protocol import JudgeSpec
from annotation.judging.reading import questions
from annotation.judging.tokens import cost, likely_tokens, request_tokens
from annotation.models import Judge, JudgeCall, JudgeRun, Price, Project, ProjectJudge
from annotation.selectors.judge import price_of, provider_of, spec_of
from annotation.selectors.judge_items import JudgeItems, Takes
from annotation.selectors.judge_pages import TRIED
from annotation.services.judge_budget import check_budget
from annotation.services.judge_canary import source_of
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
LOOKED_AT = 100
# Bytes that a repair adds: the bad reply, its two messages, and what is wrong with it.
REPAIR = SHOWN_OF_A_BAD_REPLY + 400
LATEST = 500
MOST_MONEY = Decimal(999_999)
CENT = Decimal("0.01")
# Retries, and answers longer than the last ones: what the suggested cap leaves room for.
ROOM = Decimal("1.2")


@dataclass(frozen=True)
class RunEstimate:
    """`cost` is the most that can be booked without retries, `likely_cost` what is to be expected.

    The most is with a repair of every verdict; so are `completion_tokens`. `calls` are without.

    `seconds` is None before anything was asked of the model. `sampled`: how many items were read.
    Where `is_exact` is false, `items` and all that follows from it are projected from a part of
    very many. `too_long`: lists of more responses than a judge is shown, which are left out.
    """

    items: int
    is_exact: bool
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal
    likely_cost: Decimal
    seconds: float | None
    price_known: bool
    sampled: int
    too_long: int

    @property
    def suggested_cap(self) -> Decimal:
        return (self.cost * ROOM).quantize(CENT, rounding=ROUND_UP)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"cost": str(self.cost), "likely_cost": str(self.likely_cost)}


def estimate_run(
    *,
    project: Project,
    judge: Judge,
    selection: Mapping[str, Any] | None = None,
    purpose: str = Purpose.JUDGE,
) -> RunEstimate:
    """From the sizes of the items' texts, of a hundred of them when there are many."""
    chosen = checked_selection(project, judge, selection or {}, purpose)
    return _estimated(JudgeRun(project=project, judge=judge, purpose=purpose, selection=chosen))


def _estimated(run: JudgeRun) -> RunEstimate:
    judge = run.judge
    items, is_exact, looked_at, too_long = source_of(run).glance(LOOKED_AT)
    spec, price = spec_of(judge), price_of(judge)
    sizes = [_size(spec, subject.content, price) for subject in looked_at]
    share = items / len(sizes) if sizes else 0.0
    calls = round(share * sum(size.calls for size in sizes))
    prompt = round(share * sum(size.prompt for size in sizes))
    completion = round(share * sum(size.completion for size in sizes))
    longest = round(share * sum(size.most_completion for size in sizes))
    most = Decimal(share) * sum((size.most for size in sizes), Decimal(0))
    past = _past(judge)
    written = min(completion, round(calls * past["completion"])) if past else completion
    return RunEstimate(
        items=items,
        is_exact=is_exact,
        calls=calls,
        prompt_tokens=prompt,
        completion_tokens=longest,
        cost=most.quantize(Decimal("0.00000001")),
        likely_cost=cost(prompt, written, price),
        seconds=_seconds(judge, calls, past),
        price_known=price is not None,
        sampled=len(sizes),
        too_long=too_long,
    )


class _Size(NamedTuple):
    """Calls, likely input tokens and longest output of an item; and the most with all repairs."""

    calls: int
    prompt: int
    completion: int
    most_completion: int
    most: Decimal


def _size(spec: JudgeSpec, content: ItemContent, price: Price | None) -> _Size:
    ways = chains(spec, content)
    request = next_request(spec, content, ways[0], {}, nonce="0" * 20)
    if request is None:
        return _Size(0, 0, 0, 0, Decimal(0))
    verdicts = questions(spec, content)
    asked = len(verdicts)
    reasons = int(request.stage == "reason")
    per_chain = asked + reasons
    calls = per_chain * len(ways)
    # What was reasoned is sent along with each question.
    more = reasons * asked * request.max_tokens * len(ways)
    prompt = likely_tokens(request.messages) * calls + more
    most_asked = most_calls(spec, content)
    # A repair shows the bad reply, and asks once more.
    repairs = sum(len(one.instruction.encode()) + REPAIR for one in verdicts) * len(ways)
    into = request_tokens(request) * most_asked + 2 * more + repairs
    most = cost(into, request.max_tokens * most_asked, price)
    completion, longest = request.max_tokens * calls, request.max_tokens * most_asked
    return _Size(calls, prompt, completion, longest, most)


def _past(judge: Judge) -> dict[str, float] | None:
    """What the newest calls of its model took, this judge's own if it has any."""
    done = JudgeCall.objects.filter(state=JudgeCall.State.DONE, latency_ms__isnull=False)
    for calls in (done.filter(judge=judge), done.filter(judge__model=judge.model_id)):
        newest = calls.order_by("-pk").values("pk")[:LATEST]
        found = JudgeCall.objects.filter(pk__in=newest).aggregate(
            count=Count("pk"), latency=Avg("latency_ms"), completion=Avg("completion_tokens")
        )
        if found["count"]:
            return found
    return None


def _seconds(judge: Judge, calls: int, past: Mapping[str, float] | None) -> float | None:
    if past is None or judge.model is None:
        return None
    provider = judge.model.provider
    seconds = calls * past["latency"] / 1000 / provider.concurrency
    if provider.requests_per_minute:
        seconds = max(seconds, calls / provider.requests_per_minute * 60)
    return round(seconds, 1)


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
    told = _estimated(JudgeRun(project=project, judge=judge, purpose=purpose, selection=chosen))
    if not told.items:
        raise PrefloopError(
            "No item is left for this choice: the judge has answered them, none is of a kind that "
            "it can judge, or the lists are longer than it is shown."
        )
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
    if cap is not None:
        raise_cap(run=run, cap=cap, actor=actor)
    else:
        check_budget(project=run.project, cap=run.cap, actor=None, run=run)
    jobs.resume(job=job)
    JudgeRun.objects.filter(pk=run.pk).update(paused_at=None, resumed_at=timezone.now())
    _record(run, actor, "resume_judge_run")
    run.refresh_from_db()
    return run


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
