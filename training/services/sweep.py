"""A sweep: one run for each point of a grid of settings."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from django.db import transaction

from annotation.models import Project
from core.errors import Conflict, PrefloopError
from core.models import Job, User
from core.services.audit import record_event
from training.alignment.options import describe_options
from training.models import Sweep, TrainingRun
from training.services.client_key import KeyUsed, is_same, is_same_run
from training.services.run import (
    cancel_run,
    checked_config,
    known_method,
    queue_run,
    resume_run,
    run_values,
)

MOST_RUNS = 32
Point = dict[str, Any]


@transaction.atomic
def queue_sweep(
    *,
    project: Project,
    method: str,
    config: Mapping[str, Any],
    grid: Mapping[str, Sequence[Any]],
    created_by: User | None,
    name: str = "",
    client_key: str | None = None,
    **asked: Any,
) -> Sweep:
    """Queues the product of the grid's values, all or none; `asked` is the rest of `queue_run`.

    A name of the grid is a hyper-parameter of the method or a setting of the run. A second call
    with the same client key returns the first call's sweep; with other settings it raises KeyUsed.
    """
    points = grid_points(grid)
    configs = [with_point(method, config, point) for point in points]
    # Before a row is written: not all that JSON can say can be stored.
    for one in configs:
        checked_config(method=method, config=one)
    lists = {key: list(of) for key, of in grid.items()}
    values = {"project": project, "name": name.strip(), "grid": lists}
    kept = values | {"created_by": created_by}
    kept["name"] = values["name"] or f"{method} over {', '.join(grid)}"[:100]
    if client_key is None:
        sweep, created = Sweep.objects.create(**kept), True
    else:
        key = f"{project.pk}:{client_key}"[:64]
        sweep, created = Sweep.objects.get_or_create(client_key=key, defaults=kept)
    if not created:
        # The grid tells the other runs.
        first = run_values(
            project=project, method=method, config=configs[0], name=point_name(points[0]), **asked
        )
        if not is_same(sweep, values) or not _begins_with(sweep, first):
            raise KeyUsed("sweep", sweep.pk)
        return sweep
    for point, one in zip(points, configs, strict=True):
        queue_run(
            project=project, method=method, config=one, created_by=created_by,
            name=point_name(point), sweep=sweep, **asked,
        )  # fmt: skip
    record_event(actor=created_by, action="queue_sweep", target=sweep, project_id=project.pk)
    return sweep


def _begins_with(sweep: Sweep, values: Mapping[str, Any]) -> bool:
    run = sweep.runs.order_by("pk").first()
    return run is not None and is_same_run(run, values)


def grid_points(grid: Mapping[str, Sequence[Any]]) -> list[Point]:
    """Every combination; raises PrefloopError for an empty grid or one that is too large."""
    if not grid or not all(isinstance(values, list) and values for values in grid.values()):
        raise PrefloopError("A sweep needs at least one setting with values to try.")
    counts = [len(dict.fromkeys(map(repr, values))) for values in grid.values()]
    if counts != [len(values) for values in grid.values()]:
        raise PrefloopError("A value stands twice in the grid; each would run twice.")
    if prod(counts) > MOST_RUNS:
        raise PrefloopError(
            f"The grid has {prod(counts)} points, and a sweep runs at most {MOST_RUNS}. Leave some "
            "values out, or sweep one setting after another."
        )
    for name, values in grid.items():
        _check_numbers(name, values)
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def _check_numbers(name: str, values: Sequence[Any]) -> None:
    try:
        json.dumps(values, allow_nan=False)
    except ValueError as error:
        raise PrefloopError(
            f"The values of {name} must be finite numbers; one is none or is too large."
        ) from error


def with_point(method: str, config: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """The run's config at one point of the grid."""
    own = {option.name for option in describe_options(known_method(method).hyperparameters)}
    given = config.get("hyperparameters", {})
    if not isinstance(given, Mapping):
        raise PrefloopError("hyperparameters must be an object of named values.")
    hyperparameters = {**given, **{name: point[name] for name in point if name in own}}
    rest = {name: value for name, value in point.items() if name not in own}
    return {**config, **rest, "hyperparameters": hyperparameters}


def point_name(point: Point) -> str:
    return ", ".join(f"{name} {value}" for name, value in point.items())[:100]


def stop_sweep(*, sweep: Sweep, actor: User | None) -> int:
    """Cancels every run that is not over; how many were asked."""
    rows = TrainingRun.objects.filter(sweep=sweep, job__state__in=["queued", "running"])
    runs = list(rows.select_related("job"))
    for run in runs:
        cancel_run(run=run, actor=actor)
    return len(runs)


def resume_sweep(*, sweep: Sweep, actor: User | None) -> list[TrainingRun]:
    """Takes up every run that was stopped, each from its last checkpoint; one that failed has its
    own reason, and is resumed by itself."""
    stopped = TrainingRun.objects.filter(sweep=sweep, job__state=Job.State.CANCELLED)
    resumed = []
    for run in stopped.select_related("job").order_by("pk"):
        with contextlib.suppress(Conflict):  # somebody else was quicker
            resume_run(run=run, actor=actor)
            resumed.append(run)
    return resumed
