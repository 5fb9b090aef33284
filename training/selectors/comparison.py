"""Runs side by side: settings with their differences, results with intervals, samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from annotation.models import Project
from core.canonical_json import digest
from core.errors import PrefloopError
from training.models import Evaluation, TrainingRun
from training.selectors.evaluation import Figure, evaluated
from training.selectors.run import run_settings

FEWEST, MOST = 2, 6
MOST_PROMPTS = 8


@dataclass(frozen=True)
class SettingRow:
    name: str
    values: list[str]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


@dataclass(frozen=True)
class ResultRow:
    """`note` is that of all runs' figures; where it is not, it is empty, and each has its own."""

    label: str
    note: str
    figures: list[Figure | None]


@dataclass(frozen=True)
class PromptRow:
    """What the runs wrote to one prompt: each run with its text, None where it did not answer."""

    messages: list[dict[str, Any]]
    reference: str
    texts: list[tuple[TrainingRun, str | None]]


def chosen_runs(project: Project, numbers: Sequence[str]) -> list[TrainingRun]:
    """In the order of launching; raises PrefloopError for too few or too many."""
    keys = {int(number) for number in numbers if number.isdecimal()}
    if not FEWEST <= len(keys) <= MOST:
        raise PrefloopError(f"Choose {FEWEST} to {MOST} runs to compare, not {len(keys)}.")
    rows = TrainingRun.objects.filter(project=project, pk__in=keys).order_by("pk")
    runs = list(rows.select_related("job", "snapshot", "model_version", "project"))
    if len(runs) != len(keys):
        raise PrefloopError("One of these runs is not of this project.")
    return runs


def setting_rows(runs: Sequence[TrainingRun]) -> list[SettingRow]:
    """Differing ones first; "–" where a run has no such setting."""
    whole = [_settings(run) for run in runs]
    names = list(dict.fromkeys(name for one in whole for name in one))
    rows = [SettingRow(name, [one.get(name, "–") for one in whole]) for name in names]
    return sorted(rows, key=lambda row: not row.differs)


def _settings(run: TrainingRun) -> dict[str, str]:
    about = {
        "method": run.method,
        "snapshot": str(run.snapshot.version),
        "criterion": run.criterion,
        "base model": run.starts_from,
    }
    return about | dict(run_settings(run))


def result_rows(runs: Sequence[TrainingRun]) -> list[ResultRow]:
    """Every figure that some run's evaluation has."""
    found = [_figures(run) for run in runs]
    labels = list(dict.fromkeys(label for one in found for label in one))
    return [
        ResultRow(label, _note(found, label), [one.get(label) for one in found]) for label in labels
    ]


def newest_figures(run: TrainingRun) -> dict[str, Any]:
    evaluation = Evaluation.objects.filter(version__run=run).first()
    return evaluation.figures if evaluation else {}


def _figures(run: TrainingRun) -> dict[str, Figure]:
    return {figure.label: figure for figure in evaluated(newest_figures(run)).figures}


def _note(found: Sequence[dict[str, Figure]], label: str) -> str:
    notes = {one[label].note if label in one else "" for one in found}
    return notes.pop() if len(notes) == 1 else ""


def prompt_rows(runs: Sequence[TrainingRun]) -> list[PromptRow]:
    """Prompts that two or more of the runs answered, those with most answers first."""
    messages: dict[str, Any] = {}
    references: dict[str, str] = {}
    texts: dict[str, dict[int, str]] = {}
    for run in runs:
        for sample in run.samples.all():
            key = digest(sample.prompt_messages)
            messages.setdefault(key, sample.prompt_messages)
            references.setdefault(key, sample.reference_text)
            texts.setdefault(key, {})[run.pk] = sample.policy_text
    shared = sorted((key for key in texts if len(texts[key]) > 1), key=lambda key: -len(texts[key]))
    return [
        PromptRow(messages[key], references[key], [(run, texts[key].get(run.pk)) for run in runs])
        for key in shared[:MOST_PROMPTS]
    ]
