"""A sweep's runs as a table, best first by a metric that one chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from training.models import MetricPoint, Sweep, TrainingRun

TELLING = Q(name__startswith="held_out_") | Q(name__startswith="reward")
# Of all others more is better.
LESS_IS_BETTER = ("loss", "nll", "perplexity", "kl")
FAVOURITES = ("held_out_accuracy", "held_out_loss", "held_out_nll", "reward")


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
    best = next((run.pk for run in ordered if values[run.pk] is not None), None)
    rows = [SweepRow(run, _point(sweep, run), values[run.pk], run.pk == best) for run in ordered]
    return SweepTable(chosen, metrics, list(sweep.grid), rows)


def in_words(metric: str) -> str:
    return metric.replace("held_out_", "held-out ").replace("_", " ")


def is_less_better(metric: str) -> bool:
    return any(word in metric for word in LESS_IS_BETTER)


def _place(value: float | None, sign: float) -> tuple[bool, float]:
    return value is None, sign * (value or 0.0)


def _last_values(runs: list[TrainingRun]) -> dict[int, dict[str, float]]:
    """Of each run the newest value of each metric that tells how good it is."""
    points = (
        MetricPoint.objects.filter(TELLING, run__in=runs)
        .order_by("run_id", "name", "-step")
        .distinct("run_id", "name")
    )
    found: dict[int, dict[str, float]] = {}
    for run_id, name, value in points.values_list("run_id", "name", "value"):
        found.setdefault(run_id, {})[name] = value
    return found


def _favourite(metrics: list[str]) -> str:
    return next((name for name in FAVOURITES if name in metrics), next(iter(metrics), ""))


def _point(sweep: Sweep, run: TrainingRun) -> list[Any]:
    settings = run.config | run.config["hyperparameters"]
    return [settings.get(name) for name in sweep.grid]
