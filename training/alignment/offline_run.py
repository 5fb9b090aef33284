"""What the offline loop shares between its beats, keeps on disk and leaves behind."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from training.alignment import checkpoints
from training.alignment.batches import BatchPlan
from training.alignment.config import TrainingConfig
from training.alignment.failures import TrainingError
from training.alignment.files import write_json
from training.alignment.identity import differences
from training.alignment.journal import Journal
from training.alignment.models import merge_lora, save_model
from training.alignment.objective import Objective
from training.alignment.policies import Trainee, as_saved, load_trainee
from training.alignment.reward_model import RewardScorer, save_reward_model, set_score_shift
from training.alignment.run_data import Data
from training.alignment.scoring import by_role, score_all
from training.alignment.sharding import assign, is_sharded, whole_weights
from training.alignment.watching import rewind_samples

_METHOD_STATE = "method_state.json"
# May differ between a run and its continuation: where things lie, and what only the evaluation or
# those who watch see.
FREE = {
    *("output_dir", "train_file", "held_out_file", "base_model", "reference_model", "device"),
    *("start_adapter", "demonstrations_file", "held_out_pairs_file", "reference_cache"),
    *("evaluation_reward_model", "step_sample_prompts"),
}


@dataclass(frozen=True)
class Run:
    """What the beats of the loop share."""

    config: TrainingConfig
    objective: Objective
    data: Data
    plan: BatchPlan
    module: Trainee  # before any distributed wrapper, for passes without gradient
    model: nn.Module  # what processes train together
    optimizer: torch.optim.Optimizer
    accelerator: Accelerator
    journal: Journal

    @property
    def output(self) -> Path:
        """The run's folder."""
        return Path(self.config.output_dir)

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        device: torch.device = self.accelerator.device
        return device


def make_plan(config: TrainingConfig, examples: int, accelerator: Accelerator) -> BatchPlan:
    """How the examples are dealt to steps, micro-steps and processes."""
    return BatchPlan(
        examples=examples,
        batch_size=config.batch_size,
        accumulation=config.gradient_accumulation,
        processes=accelerator.num_processes,
        seed=config.seed,
    )


def resume(run: Run) -> tuple[int, dict[str, float]]:
    """Load the last valid checkpoint, if any: the step to go on from and the method's state."""
    found = checkpoints.latest_checkpoint(run.output / "checkpoints")
    if found is None:
        _rewind(run, -1)
        return 0, {}
    changed = differences(found.state["identity"], _identity(run), free=FREE)
    if changed:
        raise TrainingError(
            "The output folder holds a checkpoint of a run with other settings, data, model or "
            f"number of processes: {', '.join(changed)}. Go on with what that run had, or use a "
            "new folder."
        )
    checkpoints.load_checkpoint(found, run.module, run.optimizer)
    _rewind(run, found.step)
    run.journal.say(f"Going on from the checkpoint after step {found.step}.")
    return found.step, dict(found.state["method_state"])


def checkpoint(run: Run, step: int, state: Mapping[str, float]) -> None:
    """Keep all that is needed to go on after `step` updates."""
    checkpoints.save_checkpoint(
        run.output / "checkpoints",
        step=step,
        module=run.module,
        optimizer=run.optimizer,
        state={"identity": _identity(run), "method_state": dict(state)},
        write=run.accelerator.is_main_process,
    )
    run.accelerator.wait_for_everyone()


def stopped(run: Run, step: int, state: Mapping[str, float]) -> bool:
    """Leave a checkpoint after `step` updates; always false, for the run is not done."""
    checkpoint(run, step, state)
    run.journal.say(f"Stopped after step {step}; the next start goes on from there.")
    return False


def save(run: Run, tokenizer: Any, state: Mapping[str, float]) -> None:
    """The whole model for any loader; a LoRA adapter also on its own beside it. The method's state,
    where it has one, is for the evaluation.

    All processes must call this; the main one writes.
    """
    module = _whole_module(run)
    if not run.accelerator.is_main_process:
        return
    run.journal.progress("saving", 0, 1, "Saving the model.")
    for unfinished in run.output.glob(".model-*"):
        shutil.rmtree(unfinished)
    if state:
        write_json(run.output / _METHOD_STATE, dict(state))
    model: Any = as_saved(run.config, module).model
    mean = _zero(run, model)
    if mean is not None:
        set_score_shift(model, mean)
    if run.config.adapter == "lora":
        model.save_pretrained(run.output / "adapter")
        model = merge_lora(model)
    write = save_reward_model if run.objective.trains_rewards else save_model
    write(model, tokenizer, run.output / "model")


def method_state(folder: Path) -> dict[str, float]:
    """What the method carried from step to step, at the end of the run in `folder`; often nothing.

    Of β-DPO the running mean of the gaps, without which a held-out loss is another number.
    """
    file = folder / _METHOD_STATE
    found: dict[str, float] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return found


def _rewind(run: Run, step: int) -> None:
    """Forget what the resumed run will say and write again."""
    run.journal.rewind(step)
    if run.accelerator.is_main_process:
        rewind_samples(run.output, step)


def _whole_module(run: Run) -> Trainee:
    """The trained module; of a sharded one, on the main process, a whole copy on the CPU."""
    if not is_sharded(run.module):
        return run.module
    weights = whole_weights(run.module)
    if not run.accelerator.is_main_process:
        return run.module
    copy = load_trainee(run.config, run.objective, torch.device("cpu"))
    for name, parameter in checkpoints.trainable(copy).items():
        assign(parameter, weights[name])
    return copy


def _zero(run: Run, model: nn.Module) -> float | None:
    """The mean score that a reward model's zero is set to, where the run asks for one.

    In float32 and of the weights that are saved, as whoever loads them will score.
    """
    data = run.data
    sequences = {
        "none": [],
        "data": by_role(data.train, run.objective.roles),
        "demonstrations": by_role(data.demonstrations, ["completion"]),
    }[run.config.score_zero]
    if not sequences:
        return None
    home = next(model.parameters()).device
    # What is saved may lie on the CPU, which is slow; a sharded model need not fit elsewhere.
    device = home if is_sharded(run.module) else run.device
    scorer = RewardScorer(model).to(device).eval()
    scores = score_all(scorer, sequences, device, batch_size=2 * run.config.batch_size)
    scorer.to(home)
    return float(scores.double().mean())


def _identity(run: Run) -> dict[str, Any]:
    """What must be equal for a resumed run to be the same run; paths and devices may move."""
    values = {name: value for name, value in asdict(run.config).items() if name not in FREE}
    values |= {**asdict(run.plan), "data": run.data.key}
    # As a checkpoint will give it back.
    whole: dict[str, Any] = json.loads(json.dumps(values))
    return whole
