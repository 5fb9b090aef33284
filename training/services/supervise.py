"""The work of a training job: a child process trains, this watches over it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings

from core.jobs import JobContext
from feedback.services import write_training_files
from training.alignment.config import TrainingConfig
from training.alignment.methods import get_method
from training.models import TrainingRun
from training.selectors.model import find_model
from training.selectors.training_data import rows_of_kind
from training.services import child
from training.services.base_model import prepare_model
from training.services.code import code_version
from training.services.judging import judges_for
from training.services.metrics import MetricsCopy
from training.services.pace import Pace, Rhythm
from training.services.rewards import with_folders
from training.services.run import demonstrations_for
from training.services.step_samples import StepSamplesCopy
from training.services.version import register_version

# In these the bar counts steps.
STEPPING = {"training": "Training", "held_out": "Evaluating on held-out prompts"}
PHASES = {
    "loading": "Loading the model and the data",
    "reference": "Scoring the data with the reference model",
    "saving": "Saving the model",
    "evaluating": "Answering held-out prompts before and after",
    "done": "Keeping the model version",
}
# What a phase counts. The reference scores each different answer once, be it in two examples, and
# none that an earlier run has had scored.
COUNTED = {"reference": "different answers", "evaluating": "answers"}


def run_folder(run: TrainingRun) -> Path:
    return Path(settings.DATA_DIR) / "runs" / str(run.pk)


def supervise_run(*, context: JobContext) -> dict[str, Any]:
    """Trains from where an earlier attempt stopped, or from the start; ends with a version."""
    run = TrainingRun.objects.select_related("project", "snapshot").get(job=context.job)
    folder = run_folder(run)
    base = find_model(run.project, run.base_model)
    prepare_model(context=context, choice=base)
    _write_data(run, folder / "data")
    config = _write_config(run, folder, base.folder)
    _record_code(context, run)
    peak = _train(context, run, folder)
    made = register_version(context=context, run=run, output=Path(config.output_dir))
    return {"version": made.number, "peak_bytes": peak}


def _train(context: JobContext, run: TrainingRun, folder: Path) -> int:
    """The most memory that the child held at once, in bytes."""
    output = folder / "output"
    (output / "error.json").unlink(missing_ok=True)
    before = child.oom_kills()
    metrics = MetricsCopy(context=context, run=run, path=output / "metrics.jsonl")
    samples = StepSamplesCopy(context=context, run=run, path=output / "step_samples.jsonl")
    rhythm = Rhythm(run.config["evaluate_every"], run.config["checkpoint_every"])
    pace = Pace(metrics.tail.path, rhythm)
    peak = 0

    def watch() -> None:
        nonlocal peak
        peak = max(peak, child.peak_memory(process))
        metrics.copy()
        samples.copy()
        _show_progress(context, output / "progress.json", pace)

    arguments = ["--config", str(folder / "run.json"), "--supervised"]
    with (
        judges_for(run) as environment,
        child.running(
            "training.alignment.train", arguments, folder=folder, environment=environment
        ) as process,
    ):
        returncode = child.wait_for(process, watch)
    if returncode:
        child.raise_failure(returncode, folder=folder, oom_kills_before=before)
    return peak


def _show_progress(context: JobContext, progress: Path, pace: Pace) -> None:
    """Only the steps have a bar with time left; what comes before and after is short beside it."""
    try:
        now = json.loads(progress.read_text())
    except (OSError, ValueError):
        now = {"phase": "loading", "done": 0, "total": 0}
    if message := STEPPING.get(now["phase"]):
        left = pace.seconds_left(now["total"])
        context.progress(done=now["done"], total=now["total"], message=message, seconds_left=left)
    else:
        context.progress(done=0, total=0, message=phase_in_words(**now))


def phase_in_words(*, phase: str, done: int, total: int, **_: Any) -> str:
    """Of what comes before and after training, from the library's progress.json."""
    words = PHASES.get(phase, phase)
    if total <= 1:
        return words
    return " ".join(filter(None, [f"{words}: {done} of {total}", COUNTED.get(phase)]))


def _write_data(run: TrainingRun, folder: Path) -> None:
    """Once for a run: each attempt reads the same files."""
    if folder.exists():
        return
    building = folder.with_name(".data")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    write_training_files(
        snapshot=run.snapshot,
        data=get_method(run.method).data,
        criterion=run.criterion,
        folder=building,
        ties=run.config["soft_labels"],
        binary_from_pairs=run.data_options.get("binary_from_pairs", False),
        rewrites=run.data_options.get("rewrites", False),
        demonstrations_from_preferred=run.config.get("convert_data", False),
    )
    path = demonstrations_for(run.config)
    if path:
        write_training_files(
            snapshot=run.snapshot,
            data="demonstrations",
            criterion=run.criterion,
            folder=building / "demonstrations",
            demonstrations_from_preferred=path == "ptx_file",
        )
    elif _has_other_demonstrations(run):
        write_training_files(
            snapshot=run.snapshot,
            data="demonstrations",
            criterion=run.criterion,
            folder=building / "held_out_demonstrations",
        )
    if _has_other_pairs(run):
        write_training_files(
            snapshot=run.snapshot,
            data="pairs",
            criterion=run.criterion,
            folder=building / "held_out_pairs",
        )
    building.rename(folder)


def _has_other_demonstrations(run: TrainingRun) -> bool:
    """Whether the evaluation can tell what a policy loses on demonstrations that it is not about:
    held-out ones, for rewrites may be among what it is trained on."""
    method = get_method(run.method)
    if method.trains == "reward" or method.data == "demonstrations":
        return False
    rows = rows_of_kind(run.snapshot, "demonstrations").get(run.criterion)
    return rows is not None and rows.is_enough


def _has_other_pairs(run: TrainingRun) -> bool:
    """Whether the evaluation can hold a policy to pairs that its method does not read."""
    method = get_method(run.method)
    if method.trains == "reward" or method.data == "pairs":
        return False
    rows = rows_of_kind(run.snapshot, "pairs").get(run.criterion)
    return rows is not None and rows.is_enough


def _write_config(run: TrainingRun, folder: Path, base: Path) -> TrainingConfig:
    path = demonstrations_for(run.config)
    demonstrations = str(folder / "data" / "demonstrations" / "train.jsonl")
    # What only the evaluation reads, where the snapshot has it.
    beside = {
        f"{name}_file": folder / "data" / f"held_out_{kind}" / "held_out.jsonl"
        for name, kind in (("demonstrations", "demonstrations"), ("held_out_pairs", "pairs"))
    }
    config = TrainingConfig.from_dict(
        {
            **with_folders(
                project=run.project,
                method=get_method(run.method),
                base=base,
                config=run.config,
                evaluated_by=run.data_options.get("evaluated_by", ""),
            ),
            "method": run.method,
            "base_model": str(base),
            "train_file": str(folder / "data" / "train.jsonl"),
            "held_out_file": str(folder / "data" / "held_out.jsonl"),
            **({path: demonstrations} if path else {}),
            **{name: str(file) for name, file in beside.items() if file.exists()},
            "reference_cache": str(Path(settings.DATA_DIR) / "reference"),
            "output_dir": str(folder / "output"),
        }
    )
    (folder / "output").mkdir(exist_ok=True)
    (folder / "run.json").write_text(config.to_json())
    return config


def _record_code(context: JobContext, run: TrainingRun) -> None:
    run.code_version = code_version()
    with context.fenced():
        run.save(update_fields=["code_version"])
