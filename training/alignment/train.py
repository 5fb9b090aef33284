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
from pathlib import Path

from training.alignment.config import TrainingConfig
from training.alignment.failures import TrainingError, reason
from training.alignment.files import write_json
from training.alignment.identity import differences
from training.alignment.memory import keep_few_kernels, reuse_freed_memory
from training.alignment.methods import get_method
from training.alignment.options import describe_options
from training.alignment.supervision import (
    STOPPED_EXIT_CODE,
    StopRequest,
    die_with_parent,
    lock_folder,
)

LOCK_PATIENCE = 10.0  # seconds

EPILOG = """\
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


def run(config: TrainingConfig, stop: StopRequest | None = None) -> int:
    """Train, save and evaluate one run in this process; returns the exit code."""
    from training.alignment import offline, online
    from training.alignment.evaluation import evaluate_model
    from training.alignment.journal import Journal
    from training.alignment.models import resolve_device
    from training.alignment.offline import make_accelerator

    output = Path(config.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    accelerator = make_accelerator(resolve_device(config.device))
    if (output / "result.json").exists():
        _refuse_another_run(config, TrainingConfig.load(output / "run.json"))
        print("This run is done already.", flush=True)
        return 0
    lock = lock_folder(output, patience=LOCK_PATIENCE) if accelerator.is_main_process else None
    if accelerator.is_main_process:
        if lock is None:
            raise TrainingError("Another process is training in this output folder.")
        (output / "error.json").unlink(missing_ok=True)
        (output / "run.json").write_text(config.to_json(), encoding="utf-8")
        if config.unused:
            names = ", ".join(config.unused)
            print(f"As it is set, {config.method} does not look at {names}.", flush=True)
    loop = online if get_method(config.method).loop == "online" else offline
    if not loop.train(config, accelerator, stop or StopRequest()):
        return STOPPED_EXIT_CODE
    # What was trained would lie beside the models that the evaluation loads.
    accelerator.free_memory()
    gc.collect()
    if accelerator.is_main_process:
        journal = Journal(output, active=True)
        if config.held_out_file:
            evaluate_model(config, output / "model", output, accelerator.device, journal)
        # What a finished run could resume from is of no more use, and large.
        shutil.rmtree(output / "checkpoints", ignore_errors=True)
        write_json(output / "result.json", {"model": "model", "finished": time.time()})
        journal.progress("done", 1, 1, "Done.")
    accelerator.end_training()
    return 0


def _refuse_another_run(config: TrainingConfig, finished: TrainingConfig) -> None:
    from training.alignment import offline_run, online_identity

    free = (online_identity if get_method(config.method).loop == "online" else offline_run).FREE
    kept, asked = (json.loads(one.to_json()) for one in (finished, config))
    changed = set(differences(kept, asked)) - free
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
    lines = [f"  {item.name:24}{item.help}" for item in describe_options(TrainingConfig)]
    parser = argparse.ArgumentParser(
        prog="python -m training.alignment.train",
        description=__doc__,
        epilog="fields of run.json:\n" + "\n".join(lines) + "\n\n" + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, help="the run.json to train from")
    parser.add_argument(
        "--supervised",
        action="store_true",
        help="end when the process that started this one ends; for workers",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
