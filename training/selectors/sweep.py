"""A sweep's runs as a table, best first by a metric that one chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.models import Job
from training.models import MetricPoint, Sweep, TrainingRun
from training.selectors.judge import SOURCES

# What tells how good a run is. Of the rewards first the held-out one: one step's of training is
# mostly noise.
MORE_IS_BETTER = (
    *("held_out_accuracy", "held_out_pair_accuracy", "held_out_token_accuracy"),
    *("held_out_kendall_tau", "held_out_best_first"),
    *("held_out_reward", "held_out_reward_margin", "reward"),
)
LESS_IS_BETTER = ("held_out_loss", "held_out_nll", "held_out_perplexity")
FAVOURITES = ("held_out_accuracy", *LESS_IS_BETTER, *MORE_IS_BETTER)
# A penalty says nothing of what an answer is worth.
JUDGING = ("reward_model", "verifier", "judge")


@dataclass(frozen=True)
class SweepRow:
    run: TrainingRun
    point: list[Any]
    value: float | None
    is_best: bool


@dataclass(frozen=True)
class SweepTable:
    """`metric` was chosen of `metrics`; `names` head the columns of each row's point."""

    metric: str
    metrics: list[str]
    names: list[str]
    rows: list[SweepRow]

    @property
    def title(self) -> str:
        return in_words(self.metric)

    @property
    def choices(self) -> list[tuple[str, str]]:
        return [(name, in_words(name)) for name in self.metrics]

    @property
    def has_best(self) -> bool:
        return any(row.is_best for row in self.rows)

    @property
    def stopped(self) -> int:
        return sum(row.run.job.state == Job.State.CANCELLED for row in self.rows)

    @property
    def less_is_better(self) -> bool:
        return is_less_better(self.metric)


def sweep_table(sweep: Sweep, metric: str = "") -> SweepTable:
    runs = list(sweep.runs.select_related("job", "model_version", "project").order_by("pk"))
    last = _last_values(runs)
    metrics = sorted({name for values in last.values() for name in values})
    chosen = metric if metric in metrics else _favourite(metrics)
    values = {run.pk: last.get(run.pk, {}).get(chosen) for run in runs}
    sign = 1.0 if is_less_better(chosen) else -1.0
    ordered = sorted(runs, key=lambda run: _place(values[run.pk], sign))
    # A run that is not done has made nothing that could be taken.
    done = (run for run in ordered if run.job.state == Job.State.SUCCEEDED)
    best = next((run.pk for run in done if values[run.pk] is not None), None)
    rows = [SweepRow(run, _point(sweep, run), values[run.pk], run.pk == best) for run in ordered]
    return SweepTable(chosen, metrics, list(sweep.grid), rows)


def in_words(metric: str) -> str:
    return metric.replace("held_out_", "held-out ").replace("_", " ")


def is_less_better(metric: str) -> bool:
    return metric in LESS_IS_BETTER


def _place(value: float | None, sign: float) -> tuple[bool, float]:
    return value is None, sign * (value or 0.0)


def _last_values(runs: list[TrainingRun]) -> dict[int, dict[str, float]]:
    """Of each run the newest value of each metric that tells how good it is."""
    points = (
        MetricPoint.objects.filter(run__in=runs, name__in=_telling(runs))
        .order_by("run_id", "name", "-step")
        .distinct("run_id", "name")
    )
    found: dict[int, dict[str, float]] = {}
    for run_id, name, value in points.values_list("run_id", "name", "value"):
        found.setdefault(run_id, {})[name] = value
    return found


def _telling(runs: list[TrainingRun]) -> set[str]:
    """The metrics that tell how good a run is, its rewards one by one among them."""
    sources = {
        f"held_out_reward_{name}"
        for run in runs
        for key in SOURCES
        for name, source in (run.config.get(key) or {}).items()
        if source["kind"] in JUDGING
    }
    return {*MORE_IS_BETTER, *LESS_IS_BETTER, *sources}


def _favourite(metrics: list[str]) -> str:
    return next((name for name in FAVOURITES if name in metrics), next(iter(metrics), ""))


def _point(sweep: Sweep, run: TrainingRun) -> list[Any]:
    settings = run.config | run.config["hyperparameters"]
    return [settings.get(name) for name in sweep.grid]
