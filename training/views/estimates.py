"""An estimate of memory and time in the words of a page or a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from annotation.models import Project
from core.errors import PrefloopError
from core.models import Job
from training.alignment.budget import Budget
from training.alignment.methods import get_method
from training.alignment.sizes import Machine
from training.forms.options import in_labels
from training.models import TrainingRun
from training.selectors.budget import former_speeds, known_positions, run_budget
from training.services.recipe import Stage
from training.services.run import checked_config
from training.services.sweep import grid_points, point_name, with_point

GIBI = 2**30


@dataclass(frozen=True)
class Told:
    """`sentence` first, then how far `speed` is known, and `notes` on settings that do not fit so
    short a run; then each part of memory and time with its amount in words."""

    sentence: str
    speed: str
    notes: list[str]
    warning: str
    memory: list[tuple[str, str]]
    time: list[tuple[str, str]]
    basis: str


def estimate_or_reason(
    *,
    config: Mapping[str, Any],
    method: str,
    grid: Mapping[str, Sequence[Any]] | None = None,
    **asked: Any,
) -> dict[str, Any]:
    """For a template: `told`, or in `no_estimate` why there is none; with a grid, of a sweep."""
    try:
        if not grid:
            return {"told": in_words(_budget(config=config, method=method, **asked))}
        former = cache(former_speeds)  # the history is the same at every point
        budgets = {
            point_name(point): _budget(
                config=with_point(method, config, point), method=method, former=former, **asked
            )
            for point in grid_points(grid)
        }
        return {"told": sweep_in_words(budgets)}
    except PrefloopError as error:
        return {"no_estimate": in_labels(error.message)}


def recipe_estimate_or_reason(
    *, base_model: str, stages: Sequence[Stage], **asked: Any
) -> dict[str, Any]:
    """The same of all stages of a recipe, whose models are as large as the first one's."""
    budgets = {}
    for stage in stages:
        title = get_method(stage.method).title
        reward_like = base_model if stage.rewarded_by is not None else ""
        try:
            budgets[title] = _budget(
                base_model=base_model, method=stage.method, config=stage.config,
                reward_like=reward_like, **stage.data_options, **asked,
            )  # fmt: skip
        except PrefloopError as error:
            return {"no_estimate": f"{title}: {in_labels(error.message)}"}
    return {"told": stages_in_words(budgets)}


def _budget(
    *, project: Project, base_model: str, method: str, config: Mapping[str, Any], **asked: Any
) -> Budget:
    positions = known_positions(project, base_model)
    checked = checked_config(method=method, config=config, positions=positions)
    return run_budget(
        project=project, base_model=base_model, method=method, config=checked, **asked
    )


def sweep_in_words(budgets: Mapping[str, Budget]) -> Told:
    """The same of runs, one after the other; the notes are on the largest alone."""
    largest = max(budgets.values(), key=lambda budget: budget.bytes)
    told = stages_in_words(budgets)
    return replace(
        told,
        sentence=f"About {size(largest.bytes)} of memory in the largest of {len(budgets)} runs, "
        f"and {duration(sum(one.seconds for one in budgets.values()))} for all of them, one after "
        "the other.",
        notes=_notes(largest),
    )


def in_words(budget: Budget) -> Told:
    total = f"About {size(budget.bytes)} of memory and {duration(budget.seconds)}"
    machine = f" of the {size(budget.machine.memory)} here" if budget.machine.memory else ""
    return Told(
        sentence=f"{total} for {steps_in_words(budget.steps)}.",
        speed=_speed(budget.machine),
        notes=_notes(budget),
        warning=_warning(budget, machine),
        memory=[(part.name, size(part.amount)) for part in budget.memory],
        time=[(part.name, duration(part.amount)) for part in budget.time],
        basis="Lengths: the snapshot's first texts at about four characters a token. Where those "
        "lengths are right, runs of a small model on a CPU took within a tenth of the memory; "
        "expect a third either way.",
    )


def _speed(machine: Machine) -> str:
    if machine.former_runs == 1:
        return (
            f"The speed is {machine.basis}, which does not tell how busy the machine will be: it "
            "may take a third of this time, or three times as long."
        )
    return f"The speed is {machine.basis}: expect half of the time either way."


def _notes(budget: Budget) -> list[str]:
    """What of the steps comes to nothing where they are few."""
    notes = []
    if budget.warm_up and 2 * budget.warm_up >= budget.steps > 1:
        notes.append(
            f"{budget.warm_up} of {steps_in_words(budget.steps)} warm up, at less than the "
            "learning rate: lower the warm-up steps."
        )
    if budget.evaluations == 0 and budget.steps > 1:
        notes.append(
            "There is no evaluation before the end: to see how the run goes, evaluate after fewer "
            "steps."
        )
    return notes


def stages_in_words(budgets: Mapping[str, Budget]) -> Told:
    """One stage runs after another: the memory is that of the largest, the time of all together."""
    largest = max(budgets.values(), key=lambda budget: budget.bytes)
    seconds = sum(budget.seconds for budget in budgets.values())
    told = in_words(largest)
    return replace(
        told,
        sentence=f"About {size(largest.bytes)} of memory in the largest stage, and "
        f"{duration(seconds)} for all of them.",
        notes=[f"{title}: {note}" for title, one in budgets.items() for note in _notes(one)],
        memory=[(title, size(budget.bytes)) for title, budget in budgets.items()],
        time=[
            (f"{title}, {steps_in_words(budget.steps)}", duration(budget.seconds))
            for title, budget in budgets.items()
        ],
    )


def steps_in_words(steps: int) -> str:
    return f"{steps} step{'' if steps == 1 else 's'}"


def _warning(budget: Budget, machine: str) -> str:
    if not budget.machine.memory or not budget.is_too_large:
        return ""
    return (
        f"That is more than fits: {size(budget.bytes)}{machine}. Lower the batch size (and raise "
        "gradient accumulation, where there is one, to keep the step's size), shorten max length, "
        "turn on gradient checkpointing, or train a LoRA adapter."
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


def held_against(run: TrainingRun) -> dict[str, str]:
    """Of a run: what was `estimated` at its launch and, when it is done, what it `took`."""
    job, told = run.job, run.estimate
    words = {}
    if told:
        words["estimated"] = _memory_and_time(told.get("bytes", 0), told["seconds"])
    if job.state == Job.State.SUCCEEDED and job.started_at and job.finished_at:
        took = (job.finished_at - job.started_at).total_seconds()
        peak = job.result.get("peak_bytes", 0) if "bytes" in told else 0
        # Each claim of the job raises its fence; the times of earlier ones are not kept.
        since = " since it was last taken up" if job.fence > 1 else ""
        words["took"] = _memory_and_time(peak, took) + since
    return words


def _memory_and_time(memory: float, seconds: float) -> str:
    return f"{size(memory)}, {duration(seconds)}" if memory else duration(seconds)
