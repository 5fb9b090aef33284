"""Copies what a child sampled through training from its file into rows. The file is the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.jobs import JobContext
from training.models import StepSample, TrainingRun
from training.services.tail import JsonLinesTail
from training.services.texts import storable


class StepSamplesCopy:
    def __init__(self, *, context: JobContext, run: TrainingRun, path: Path) -> None:
        self.context = context
        self.run = run
        self.tail = JsonLinesTail(path)

    def copy(self) -> None:
        while lines := self.tail.read():
            self._write(lines)

    def _write(self, lines: list[dict[str, Any]]) -> None:
        rows = {(line["position"], line["step"]): self._row(line) for line in lines}
        with self.context.fenced():
            if self.tail.rewound:
                # A resumed run samples again what came after its checkpoint.
                last = max(step for _, step in rows)
                self.run.step_samples.filter(step__gt=last).delete()
                self.tail.rewound = False
            StepSample.objects.bulk_create(
                rows.values(),
                update_conflicts=True,
                unique_fields=["run", "position", "step"],
                update_fields=["text", "figures", "prompt_messages"],
            )

    def _row(self, line: dict[str, Any]) -> StepSample:
        prompt = line["prompt"]
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        figures = {
            name: value
            for name, value in line.items()
            if name not in {"step", "position"} and isinstance(value, int | float)
        }
        return StepSample(
            run=self.run, step=line["step"], position=line["position"], prompt_messages=messages,
            text=storable(line["text"]), figures=figures,
        )  # fmt: skip
