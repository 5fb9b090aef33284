"""Copies what a training child measured from its file into rows. The file is the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.jobs import JobContext
from training.models import MetricPoint, TrainingRun
from training.services.tail import JsonLinesTail


class MetricsCopy:
    def __init__(self, *, context: JobContext, run: TrainingRun, path: Path) -> None:
        self.context = context
        self.run = run
        self.tail = JsonLinesTail(path)

    def copy(self) -> None:
        while lines := self.tail.read():
            self._write(lines)

    def _write(self, lines: list[dict[str, Any]]) -> None:
        # A step may have two lines, one of training and one of evaluation.
        values = {
            (name, int(line["step"])): float(value)
            for line in lines
            for name, value in line["metrics"].items()
        }
        rows = [
            MetricPoint(run=self.run, name=name, step=step, value=value)
            for (name, step), value in values.items()
        ]
        with self.context.fenced():
            if self.tail.rewound:
                # A resumed run goes on from its checkpoint: what it did after it, is undone.
                self.run.metric_points.filter(step__gt=int(lines[-1]["step"])).delete()
                self.tail.rewound = False
            MetricPoint.objects.bulk_create(
                rows,
                update_conflicts=True,
                unique_fields=["run", "name", "step"],
                update_fields=["value"],
            )
