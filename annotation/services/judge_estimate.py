"""What a run will ask, take and cost: from the texts of some items, and from past calls."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import ROUND_UP, Decimal
from typing import Any

from annotation.judging.sizes import size_of
from annotation.judging.tokens import cost
from annotation.models import Judge, JudgeRun
from annotation.selectors.judge import price_of, spec_of
from annotation.services.judge_canary import source_of
from annotation.services.judge_past import Past, asked_so_far

LOOKED_AT = 100
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
    `learned_from`: whose calls told how many tokens a text has, "judge" or "model"; empty: four
    bytes a token, as English has.
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
    learned_from: str

    @property
    def suggested_cap(self) -> Decimal:
        return (self.cost * ROOM).quantize(CENT, rounding=ROUND_UP)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"cost": str(self.cost), "likely_cost": str(self.likely_cost)}


def estimated(run: JudgeRun) -> RunEstimate:
    """Of a run that has begun: of what is left."""
    judge = run.judge
    items, is_exact, looked_at, too_long = source_of(run).glance(LOOKED_AT)
    spec, price, past = spec_of(judge), price_of(judge), asked_so_far(judge)
    sizes = [size_of(spec, subject.content, price) for subject in looked_at]
    learned = past.prompt if past and past.prompt else 1.0
    share = items / len(sizes) if sizes else 0.0
    calls = round(share * sum(size.calls for size in sizes))
    prompt = round(share * sum(size.prompt for size in sizes) * learned)
    completion = round(share * sum(size.completion for size in sizes))
    longest = round(share * sum(size.most_completion for size in sizes))
    most = Decimal(share) * sum((size.most for size in sizes), Decimal(0))
    written = min(completion, round(calls * past.completion)) if past else completion
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
        learned_from=past.source if past and past.prompt else "",
    )


def _seconds(judge: Judge, calls: int, past: Past | None) -> float | None:
    if past is None or judge.model is None:
        return None
    provider = judge.model.provider
    seconds = calls * past.seconds / provider.concurrency
    if provider.requests_per_minute:
        seconds = max(seconds, calls / provider.requests_per_minute * 60)
    return round(seconds, 1)
