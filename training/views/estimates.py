"""An estimate of memory and time in the words of a page or a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import PrefloopError
from training.alignment.budget import Budget
from training.selectors.budget import run_budget
from training.services.run import checked_config

GIBI = 2**30


@dataclass(frozen=True)
class Told:
    """`sentence` first; then each part of memory and time with its amount in words."""

    sentence: str
    warning: str
    memory: list[tuple[str, str]]
    time: list[tuple[str, str]]
    basis: str


def estimate_or_reason(
    *, config: Mapping[str, Any], method: str, runs: int = 1, **asked: Any
) -> dict[str, Any]:
    """For a template: `told`, or in `no_estimate` why there is none."""
    try:
        checked = checked_config(method=method, config=config)
        return {"told": in_words(run_budget(method=method, config=checked, **asked), runs)}
    except PrefloopError as error:
        return {"no_estimate": error.message}


def in_words(budget: Budget, runs: int = 1) -> Told:
    total = f"About {size(budget.bytes)} of memory and {duration(budget.seconds)}"
    of_all = f" {runs} such runs, one after the other: {duration(runs * budget.seconds)}."
    machine = f" of the {size(budget.machine.memory)} here" if budget.machine.memory else ""
    return Told(
        sentence=f"{total} for {budget.steps} step{'' if budget.steps == 1 else 's'}."
        + (of_all if runs > 1 else ""),
        warning=_warning(budget, machine),
        memory=[(part.name, size(part.amount)) for part in budget.memory],
        time=[(part.name, duration(part.amount)) for part in budget.time],
        basis=f"Speed: {budget.machine.basis}. Lengths: the snapshot's first texts at about four "
        "characters a token. Where those lengths are right, runs of a small model on a CPU took "
        "within a tenth of the memory; expect a third either way, and half of the time.",
    )


def _warning(budget: Budget, machine: str) -> str:
    if not budget.machine.memory or not budget.is_too_large:
        return ""
    return (
        f"That is more than fits: {size(budget.bytes)}{machine}. Lower the batch size (and raise "
        "gradient accumulation to keep the step's size), shorten max length, turn on gradient "
        "checkpointing, or train a LoRA adapter."
    )


def size(amount: float) -> str:
    return f"{amount / GIBI:.1f} GiB" if amount >= 0.1 * GIBI else f"{amount / 2**20:.0f} MiB"


def duration(seconds: float) -> str:
    """One number that a person can plan with."""
    for limit, unit, name in ((90, 1, "second"), (5400, 60, "minute"), (172800, 3600, "hour")):
        if seconds < limit:
            count = max(1, round(seconds / unit))
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{seconds / 86400:.0f} days"
