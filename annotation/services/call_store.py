"""The calls of judges: a row and its cost stand in the database before a request leaves.

All of it is raw SQL over arrays, some dozens of calls a statement: a thousand calls a second leave
no time for an object each. The caller holds the transaction (and the job's fence) around it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from annotation.models import JudgeCall, JudgeRun

BATCH = 50
GRANTED, BUSY, REFUSED = "granted", "busy", "refused"
INTENDED, DONE, FAILED, UNKNOWN = (str(state.value) for state in JudgeCall.State)
NO_MONEY = Decimal(0)
LOST = "Its worker ended while it was out; nobody knows whether it was answered."
LONGEST_ERROR = 500
# Rewards have no job that tells whether their worker lives: longer than a call waits for leave, for
# an endpoint that is down and for so many time-outs.
WITHOUT_JOB = timedelta(minutes=15)
TIMEOUTS_WITHOUT_JOB = 5


class NewCall(NamedTuple):
    """`purpose` has its stage. `parameters` is JSON."""

    call_key: str
    item: int | None
    purpose: str
    shown_order: tuple[int, ...]
    sample: int
    attempt: int
    parameters: str
    reserve: Decimal


class Standing(NamedTuple):
    """What became of the wish for a call.

    granted: written and its cost reserved, ask now · done: asked before, here is its reply ·
    failed, unknown: asked before in vain · busy: another worker has it out · refused: the budget
    does not hold it. `is_past`: it failed before a person began or resumed the run, which begins
    to count anew.
    """

    state: str
    call: int = 0
    reply: dict[str, Any] | None = None
    error: str = ""
    is_past: bool = False


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a call came to; `reply` and `verdict` are JSON. `asked_again`: as its next attempt."""

    call: int
    cost: Decimal
    state: str
    reply: str = "{}"
    verdict: str = "{}"
    error: str = ""
    tries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_ms: int | None = None
    asked_again: bool = False


_KNOWN = """
SELECT call_key, id, state, CASE WHEN state = 'done' THEN reply END, error, run_id, created_at
FROM annotation_judgecall WHERE call_key = ANY(%s)
"""
_RESERVE = """
UPDATE annotation_judgerun SET reserved = reserved + %(cost)s
WHERE id = %(run)s AND settled + overrun + reserved + %(cost)s <= cap
"""
_HEADROOM = """
SELECT cap - settled - overrun - reserved FROM annotation_judgerun WHERE id = %s FOR NO KEY UPDATE
"""
_INTEND = """
INSERT INTO annotation_judgecall (judge_id, run_id, item_id, call_key, purpose, shown_order,
    sample_index, attempt, state, parameters, reply, verdict, error, tries, prompt_tokens,
    completion_tokens, reserved_cost, settled_cost, created_at)
SELECT %s, %s, one.item, one.call_key, one.purpose, one.shown_order::smallint[], one.sample,
    one.attempt, 'intended', one.parameters::jsonb, '{}', '{}', '', 0, 0, 0, one.reserve, 0, %s
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::int[], %s::int[], %s::text[],
    %s::numeric[]) AS one (item, call_key, purpose, shown_order, sample, attempt, parameters,
    reserve)
ON CONFLICT (call_key) DO NOTHING
RETURNING call_key, id
"""
_SETTLE = """
UPDATE annotation_judgecall AS call SET state = one.state, reply = one.reply::jsonb,
    verdict = one.verdict::jsonb, error = one.error, tries = one.tries,
    prompt_tokens = one.prompt_tokens, completion_tokens = one.completion_tokens,
    settled_cost = one.cost, latency_ms = one.latency_ms, finished_at = %s
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::int[],
    %s::int[], %s::numeric[], %s::int[]) AS one (id, state, reply, verdict, error, tries,
    prompt_tokens, completion_tokens, cost, latency_ms)
WHERE call.id = one.id AND {which}
RETURNING call.reserved_cost, call.settled_cost
"""
_SETTLE_OUT = _SETTLE.format(which="call.state = 'intended'")
# Thought lost, while their worker lived: what they cost is known after all.
_SETTLE_LOST = _SETTLE.format(which="call.state = 'unknown' AND call.error = %s")
# What replies cost beyond their reservations fills the cap first; the rest is the overrun, which
# comes down again when reservations are given back, or the cap is raised.
_BOOK = """
UPDATE annotation_judgerun SET reserved = reserved - %(reserved)s,
    settled = LEAST(settled + overrun + %(settled)s, cap - (reserved - %(reserved)s)),
    overrun = GREATEST(0, settled + overrun + %(settled)s - (cap - (reserved - %(reserved)s)))
WHERE id = %(run)s
"""
# Only what no living worker waits for: this run's own (its job has one worker, the caller), those
# of jobs that do not run, and of runs without a job those that are very old.
_LOSE = """
UPDATE annotation_judgecall AS call SET state = 'unknown', settled_cost = reserved_cost,
    error = %(error)s, finished_at = %(now)s
FROM annotation_judgerun run LEFT JOIN core_job job ON job.id = run.job_id
WHERE call.run_id = run.id AND call.state = 'intended' AND call.created_at < %(before)s
  AND (run.id = %(run)s OR job.state <> 'running'
       OR run.job_id IS NULL AND call.created_at < %(long_before)s - make_interval(secs =>
           {timeout} * %(timeouts)s))
  AND {which}
RETURNING call.id, call.run_id, call.reserved_cost
"""
_TIMEOUT = """(
    SELECT provider.timeout_seconds FROM annotation_judge judge
    JOIN annotation_providermodel model ON model.id = judge.model_id
    JOIN annotation_provider provider ON provider.id = model.provider_id
    WHERE judge.id = call.judge_id)"""
_LOSE_THESE = _LOSE.format(which="call.id = ANY(%(calls)s)", timeout=_TIMEOUT)
_LOSE_ALL = _LOSE.format(
    which=f"call.created_at < %(now)s - make_interval(secs => {_TIMEOUT})", timeout=_TIMEOUT
)


class CallStore:
    """The calls of one run. `timeout_seconds`: how long a request may be out."""

    def __init__(self, run: JudgeRun, *, timeout_seconds: float) -> None:
        self.run, self.judge = run.pk, run.judge_id
        self.timeout = timedelta(seconds=timeout_seconds)
        self.begun = run.resumed_at or run.created_at
        # Those that this worker has out: they are nobody's to take over.
        self.out: set[int] = set()

    def intend(self, calls: Sequence[NewCall]) -> list[Standing]:
        """Writes those that nobody has asked yet, as far as the budget holds them, in order."""
        found = self._known([call.call_key for call in calls])
        fresh = {call.call_key: call for call in calls if call.call_key not in found}
        affordable = self._reserve(list(fresh.values()))
        written = self._write(affordable)
        taken = [call for call in affordable if call.call_key not in written]
        if taken:  # by another run of this judge, a moment ago
            self._book(sum((call.reserve for call in taken), NO_MONEY), NO_MONEY)
            found |= {call.call_key: Standing(BUSY) for call in taken}
        found |= {key: Standing(GRANTED, number) for key, number in written.items()}
        self.out.update(written.values())
        return _once_each(calls, found)

    def headroom(self) -> Decimal:
        """What is neither spent nor reserved; nobody else books until the transaction ends."""
        with connection.cursor() as cursor:
            cursor.execute(_HEADROOM, [self.run])
            headroom: Decimal = cursor.fetchone()[0]
            return headroom

    def settle(self, settlements: Sequence[Settlement]) -> None:
        rows = [
            (one.call, one.state, one.reply, one.verdict, one.error[:LONGEST_ERROR], one.tries,
             one.prompt_tokens, one.completion_tokens, one.cost, one.latency_ms)
            for one in settlements
        ]  # fmt: skip
        columns = [list(column) for column in zip(*rows, strict=True)]
        with connection.cursor() as cursor:
            now, found = timezone.now(), []
            cursor.execute(_SETTLE_OUT, [now, *columns])
            out = cursor.fetchall()
            if len(out) < len(settlements):
                cursor.execute(_SETTLE_LOST, [now, *columns, LOST])
                found = cursor.fetchall()
        # A lost one has no reservation left, and was booked at it.
        settled = sum((cost for _, cost in out), NO_MONEY)
        settled += sum((cost - reserve for reserve, cost in found), NO_MONEY)
        self._book(sum((reserve for reserve, _ in out), NO_MONEY), settled)
        self.out.difference_update(one.call for one in settlements)

    def _known(self, keys: list[str]) -> dict[str, Standing]:
        with connection.cursor() as cursor:
            cursor.execute(_KNOWN, [keys])
            rows = cursor.fetchall()
        if not rows:
            return {}
        lost = self._lose_late([row[1] for row in rows if row[2] == INTENDED], rows)
        return {row[0]: _standing(row, row[1] in lost, self.begun) for row in rows}

    def _lose_late(self, intended: list[int], rows: list[Any]) -> set[int]:
        before = timezone.now() - self.timeout
        late = [row[1] for row in rows if row[1] in intended and row[6] < before]
        late = [call for call in late if call not in self.out]
        return lose(_LOSE_THESE, run=self.run, before=before, calls=late) if late else set()

    def _reserve(self, calls: list[NewCall]) -> list[NewCall]:
        """The first of them that fit; their cost is reserved by then."""
        with connection.cursor() as cursor:
            for _ in range(2):
                if not calls:
                    return []
                cost = sum((call.reserve for call in calls), NO_MONEY)
                cursor.execute(_RESERVE, {"run": self.run, "cost": cost})
                if cursor.rowcount:
                    return calls
                calls = _fitting(calls, self.headroom())
        return []

    def _write(self, calls: list[NewCall]) -> dict[str, int]:
        if not calls:
            return {}
        # In one order for all: two runs of a judge that write the same calls do not wait for each
        # other in a ring.
        rows = [
            (call.item, call.call_key, call.purpose, _array(call.shown_order), call.sample,
             call.attempt, call.parameters, call.reserve)
            for call in sorted(calls, key=lambda call: call.call_key)
        ]  # fmt: skip
        columns = [list(column) for column in zip(*rows, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(_INTEND, [self.judge, self.run, timezone.now(), *columns])
            return dict(cursor.fetchall())

    def _book(self, reserved: Decimal, settled: Decimal) -> None:
        book(self.run, reserved, settled)


def book(run: int, reserved: Decimal, settled: Decimal) -> None:
    """Gives a reservation back and notes what it cost."""
    with connection.cursor() as cursor:
        cursor.execute(_BOOK, {"run": run, "reserved": reserved, "settled": settled})


def lose(
    sql: str, *, run: int, before: datetime, calls: Sequence[int] = (), now: datetime | None = None
) -> set[int]:
    """Calls of which nobody knows what became: booked at what they may have cost."""
    now = now or timezone.now()
    values: dict[str, Any] = {
        "error": LOST,
        "now": now,
        "before": before,
        "run": run,
        "calls": list(calls),
        "long_before": now - WITHOUT_JOB,
        "timeouts": TIMEOUTS_WITHOUT_JOB,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows = cursor.fetchall()
    for each in sorted({row[1] for row in rows}):
        cost = sum((row[2] for row in rows if row[1] == each), NO_MONEY)
        book(each, cost, cost)
    return {row[0] for row in rows}


def lose_abandoned_calls() -> int:
    """For the sweep: calls past their time-out whose worker is gone, of any run."""
    now = timezone.now()
    with transaction.atomic():
        return len(lose(_LOSE_ALL, run=0, before=now, now=now))


def _standing(row: Any, was_lost: bool, begun: datetime) -> Standing:
    _, number, state, reply, error, _, created_at = row
    if was_lost:
        return Standing(UNKNOWN, number, error=LOST)
    is_past = state == UNKNOWN and error != LOST and created_at < begun
    state = BUSY if state == INTENDED else state
    return Standing(state, number, _loaded(reply), error, is_past)


def _loaded(reply: Any) -> dict[str, Any] | None:
    known: dict[str, Any] | None = json.loads(reply) if isinstance(reply, str) else reply
    return known


def _fitting(calls: list[NewCall], headroom: Decimal) -> list[NewCall]:
    fitting: list[NewCall] = []
    for call in calls:
        headroom -= call.reserve
        if headroom < 0:
            break
        fitting.append(call)
    return fitting


def _once_each(calls: Sequence[NewCall], found: dict[str, Standing]) -> list[Standing]:
    """Two items of equal content wish for the same call: the second waits for the first."""
    granted: set[str] = set()
    standings = []
    for call in calls:
        standing = found.get(call.call_key, Standing(REFUSED))
        if standing.state == GRANTED and call.call_key in granted:
            standing = Standing(BUSY)
        granted.add(call.call_key)
        standings.append(standing)
    return standings


def _array(numbers: Sequence[int]) -> str:
    return f"{{{','.join(map(str, numbers))}}}"
