"""Run one training run from its run.json.

    python -m training.alignment.train --config run.json
    accelerate launch --num_processes 2 -m training.alignment.train --config run.json    (GPUs)
    torchrun --standalone --nproc_per_node 2 -m training.alignment.train --config run.json    (CPU)

Goes on from the last checkpoint when the output folder holds one. Exit codes: 0 done, 1 failed (the
reason is in error.json), 143 stopped by SIGTERM after writing a checkpoint.
"""

import argparse
import gc
import json
import os
import shutil
import sys
import time
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING

from training.alignment.config import TrainingConfig
from training.alignment.failures import TrainingError, reason
from training.alignment.files import write_json
from training.alignment.identity import differences
from training.alignment.memory import keep_few_kernels, reuse_freed_memory
from training.alignment.methods import get_method, methods
from training.alignment.option_words import entries, entry
from training.alignment.options import OptionError, describe_options
from training.alignment.supervision import (
    STOPPED_EXIT_CODE,
    StopRequest,
    die_with_parent,
    lock_folder,
)

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from training.alignment.rewards.composed import OwnRewards

LOCK_PATIENCE = 10.0  # seconds
# What a finished run may be asked for again with: it no longer shapes the result.
FREE_WHEN_DONE = {"output_dir", "device", "reference_cache", "kl_budget"}

EPILOG = """\
the smallest run.json, and one of DPO with a LoRA adapter; paths are as seen from where you are:
  {"method": "sft", "base_model": "models/smollm2", "train_file": "demonstrations.jsonl",
   "output_dir": "runs/sft"}
  {"method": "dpo", "base_model": "models/smollm2", "train_file": "train.jsonl",
   "held_out_file": "held_out.jsonl", "output_dir": "runs/dpo", "adapter": "lora",
   "learning_rate": 5e-5, "hyperparameters": {"beta": 0.05}}

what the output folder holds:
  run.json            the configuration with all defaults
  progress.json       phase, done, total
  metrics.jsonl       one JSON object a line: step, time, total_steps, metrics
  data_report.json    what was truncated or dropped
  step_samples.jsonl  answers to the same held-out prompts at each evaluation
  reference/, checkpoints/              to resume from
  model/              the trained model: safetensors, tokenizer; a LoRA adapter merged
  adapter/            the LoRA adapter alone
  method_state.json   what β-DPO carried from step to step
  evaluation.json, samples.jsonl        held-out evaluation against the reference
  result.json         written last
  error.json          reason and detail of a failure
"""


def main() -> int:
    """Parse, train, evaluate; returns the exit code."""
    arguments = _parser().parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if arguments.supervised:
        die_with_parent()
    keep_few_kernels()
    reuse_freed_memory()
    stop = StopRequest()
    stop.listen()
    config: TrainingConfig | None = None
    folder = arguments.config.parent
    try:
        config = TrainingConfig.load(arguments.config)
        Path(config.output_dir).mkdir(parents=True, exist_ok=True)
        folder = Path(config.output_dir)
        return run(config, stop)
    except Exception as error:  # noqa: BLE001  # the process boundary: every failure leaves a reason behind
        return _fail(folder, error, config)


def run(
    config: TrainingConfig, stop: StopRequest | None = None, rewards: "OwnRewards | None" = None
) -> int:
    """Train, save and evaluate one run in this process; returns the exit code.

    `rewards` take the place of the configuration's reward_sources: a function of a sequence of
    rollouts that gives one number for each, several functions, or a `Composed` with their weights.
    """
    from training.alignment.models import resolve_device
    from training.alignment.offline import make_accelerator

    output = Path(config.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    accelerator = make_accelerator(resolve_device(config.device))
    if (output / "result.json").exists():
        _refuse_another_run(config, TrainingConfig.load(output / "run.json"))
        print("This run is done already.", flush=True)
        return 0
    # A notebook keeps the frames of what failed, and a lock that they hold would stay locked.
    with _locked(output) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            _begin(config, output)
        if not _train(config, accelerator, stop or StopRequest(), rewards):
            return STOPPED_EXIT_CODE
        # What was trained would lie beside the models that the evaluation loads.
        accelerator.free_memory()
        gc.collect()
        if accelerator.is_main_process:
            _finish(config, output, accelerator.device)
    accelerator.end_training()
    return 0


def _locked(output: Path) -> IO[str]:
    lock = lock_folder(output, patience=LOCK_PATIENCE)
    if lock is None:
        raise TrainingError("Another process is training in this output folder.")
    return lock


def _begin(config: TrainingConfig, output: Path) -> None:
    (output / "error.json").unlink(missing_ok=True)
    (output / "run.json").write_text(config.to_json(), encoding="utf-8")
    if config.unused:
        names = ", ".join(config.unused)
        print(f"As it is set, {config.method} does not look at {names}.", flush=True)


def _train(
    config: TrainingConfig,
    accelerator: "Accelerator",
    stop: StopRequest,
    rewards: "OwnRewards | None",
) -> bool:
    from training.alignment import offline, online

    method = get_method(config.method)
    if method.loop == "online":
        return online.train(config, accelerator, stop, rewards=rewards)
    if rewards is not None:
        raise OptionError("rewards", f"{method.title} samples no answers that could be rewarded")
    return offline.train(config, accelerator, stop)


def _finish(config: TrainingConfig, output: Path, device: "torch.device") -> None:
    from training.alignment.evaluation import evaluate_model
    from training.alignment.journal import Journal

    journal = Journal(output, active=True)
    if config.held_out_file:
        evaluate_model(config, output / "model", output, device, journal)
    # What a finished run could resume from is of no more use, and large.
    shutil.rmtree(output / "checkpoints", ignore_errors=True)
    write_json(output / "result.json", {"model": "model", "finished": time.time()})
    journal.progress("done", 1, 1, "Done.")


def _refuse_another_run(config: TrainingConfig, finished: TrainingConfig) -> None:
    kept, asked = (json.loads(one.to_json()) for one in (finished, config))
    changed = set(differences(kept, asked)) - FREE_WHEN_DONE
    if changed:
        raise TrainingError(
            "The output folder holds a finished run with other settings: "
            f"{', '.join(sorted(changed))}. Use a new folder."
        )


def _fail(folder: Path, error: Exception, config: TrainingConfig | None) -> int:
    detail = "".join(traceback.format_exception(error))[-8000:]
    print(detail, file=sys.stderr, flush=True)
    if folder.is_dir():
        write_json(folder / "error.json", {"reason": reason(error, config), "detail": detail})
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.alignment.train",
        description=__doc__,
        epilog="\n".join([*_fields(), "", EPILOG]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, help="the run.json to train from")
    parser.add_argument(
        "--supervised",
        action="store_true",
        help="end when the process that started this one ends; for workers",
    )
    return parser


def _fields() -> list[str]:
    lines = ["fields of run.json:", *entries(describe_options(TrainingConfig))]
    lines += ["", "methods, and what their hyperparameters may name:"]
    for method in methods():
        lines.append(entry(method.name, f"{method.title}; needs {method.data} data."))
        lines += entries(describe_options(method.hyperparameters), indent=4)
    return lines


if __name__ == "__main__":
    sys.exit(main())
