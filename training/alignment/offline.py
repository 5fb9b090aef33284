"""The offline loop: frozen preference data in, a trained policy out.

Read `train` from top to bottom. Every step has the same beats: learning rate, evaluate and
checkpoint, micro-steps, clip, step, zero, log, stop. It runs on a CPU, on one GPU, or on several
processes under `accelerate launch`; the loss of a step is one weighted mean over its global batch,
so the numbers do not depend on how the batch is split.
"""

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from training.alignment import checkpoints, metrics
from training.alignment.batches import BatchPlan
from training.alignment.config import TrainingConfig
from training.alignment.journal import Journal
from training.alignment.log_probs import CompletionScorer
from training.alignment.models import load_tokenizer, merge_lora, save_model
from training.alignment.objective import Objective
from training.alignment.policies import load_policy
from training.alignment.run_data import Data, load_data
from training.alignment.scoring import by_role, score, score_all, split_roles
from training.alignment.supervision import StopRequest


class TrainingError(RuntimeError):
    """Training cannot go on; the message is one sentence for the person who launched it."""


@dataclass(frozen=True)
class Run:
    """What the beats of the loop share."""

    config: TrainingConfig
    objective: Objective
    data: Data
    plan: BatchPlan
    module: CompletionScorer  # before any distributed wrapper, for passes without gradient
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


def train(  # noqa: C901  # one loop, read from top to bottom
    config: TrainingConfig, accelerator: Accelerator, stop: StopRequest
) -> bool:
    """Train and save the model; false when a stop request ended it early, with a checkpoint.

    Raises OptionError, DataError, ModelError or TrainingError with a message for people.
    """
    journal = Journal(Path(config.output_dir), active=accelerator.is_main_process)
    objective = Objective.from_config(config)
    journal.progress("loading", 0, 1, f"Loading {Path(config.base_model).name}.")
    tokenizer = load_tokenizer(config.base_model)
    data = load_data(config, objective, tokenizer, accelerator, journal)
    module = load_policy(config, accelerator.device)
    optimizer = _optimizer(config, module)
    run = Run(
        config=config,
        objective=objective,
        data=data,
        plan=_plan(config, data, accelerator),
        module=module,
        optimizer=optimizer,
        accelerator=accelerator,
        journal=journal,
    )
    total = run.plan.total_steps(config.epochs, config.max_steps)
    start = _resume(run)
    model: nn.Module = accelerator.prepare_model(module)
    parameters = list(checkpoints.trainable(module).values())
    lengths = [len(example) for example in data.train]
    journal.say(f"Training {len(lengths)} examples in {total} steps of {run.plan.global_batch}.")

    stop.waits_for_loop = True
    for step in range(start, total):
        rate = learning_rate(config, step, total)
        for group in optimizer.param_groups:
            group["lr"] = rate
        _seed_step(config.seed, step, accelerator.process_index)

        if data.held_out and step % config.evaluate_every == 0:
            journal.metrics(step, total, evaluate(run))
        if step > start and step % config.checkpoint_every == 0:
            _checkpoint(run, step)

        began = time.perf_counter()
        indices = run.plan.step_indices(step)
        micro_batches = run.plan.micro_batches(indices, lengths, accelerator.process_index)
        weight = sum(data.train[index].weight for index in indices)
        statistic = _step_statistic(run, micro_batches)
        model.train()
        rows = []
        for number, micro in enumerate(micro_batches):
            if _stop_everywhere(stop, accelerator):
                # A step on a slow machine may outlast the patience of who asks: give it up.
                return _stopped(run, step)
            last = number == len(micro_batches) - 1
            with nullcontext() if last else accelerator.no_sync(model):
                loss, record = _micro_step(run, model, micro, statistic)
                # Processes average their gradients; this makes the average a sum over the batch.
                accelerator.backward(loss * accelerator.num_processes / weight)
            rows.append(record)
        everything = accelerator.gather(torch.cat(rows))
        if step == 0:
            _check_first_step(run, indices, statistic, everything)

        grad_norm = float(nn.utils.clip_grad_norm_(parameters, config.max_grad_norm))
        if not math.isfinite(grad_norm):
            raise TrainingError(
                f"The gradient is not finite at step {step + 1}; lower the learning rate."
            )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

        values = metrics.summarize(everything) | {
            "learning_rate": rate,
            "grad_norm": grad_norm,
            "seconds_per_step": time.perf_counter() - began,
            **{name: float(value) for name, value in statistic.items()},
        }
        journal.metrics(step + 1, total, values)
        journal.progress("training", step + 1, total, _log_line(step + 1, total, values))
        if step + 1 < total and _stop_everywhere(stop, accelerator):
            return _stopped(run, step + 1)
    stop.waits_for_loop = False

    if start < total:
        _checkpoint(run, total)
    if data.held_out:
        journal.metrics(total, total, evaluate(run))
    if accelerator.is_main_process:
        journal.progress("saving", 0, 1, "Saving the model.")
        _save(run, tokenizer)
    accelerator.wait_for_everyone()
    return True


def make_accelerator(device: torch.device) -> Accelerator:
    """The process group's view; nothing of it changes the numbers."""
    plain = DistributedDataParallelKwargs(broadcast_buffers=False)
    return Accelerator(cpu=device.type == "cpu", kwargs_handlers=[plain])


def learning_rate(config: TrainingConfig, step: int, total: int) -> float:
    """Linear warm-up, then constant, linear to zero or cosine to zero."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    share = (step - config.warmup_steps) / max(1, total - config.warmup_steps)
    fall = 1.0 - share if config.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * share))
    return config.learning_rate * fall


@torch.no_grad()
def evaluate(run: Run) -> dict[str, float]:
    """Held-out loss, accuracy, margin and log-ratios, each name with `held_out_` before it."""
    run.module.eval()
    objective, examples = run.objective, run.data.held_out
    scores = score_all(
        run.module,
        by_role(examples, objective.roles),
        run.device,
        batch_size=2 * run.config.batch_size,
        share=(run.accelerator.process_index, run.accelerator.num_processes),
    )
    policy = split_roles(run.accelerator.reduce(scores, reduction="sum"), objective.roles)
    reference = {role: part.to(run.device) for role, part in run.data.held_out_reference.items()}
    statistic = objective.statistic(policy, reference)
    output = objective.loss(policy, reference, examples, statistic)
    rows = metrics.records(output, policy, reference, examples)
    return {f"held_out_{name}": value for name, value in metrics.summarize(rows).items()}


@torch.no_grad()
def _step_statistic(run: Run, micro_batches: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """The method's statistic of the whole step, over all micro-steps and processes."""
    roles = run.objective.statistic_roles
    if not roles:
        return {}
    run.module.eval()
    parts = [
        score(run.module, [run.data.train[index] for index in micro], roles, run.device)
        for micro in micro_batches
    ]
    indices = [index for micro in micro_batches for index in micro]
    reference = _reference(run.data, roles, indices, run.device)
    gather = run.accelerator.gather
    policy = {role: gather(torch.cat([part[role] for part in parts])) for role in roles}
    return run.objective.statistic(policy, {role: gather(part) for role, part in reference.items()})


def _micro_step(
    run: Run, model: nn.Module, indices: Sequence[int], statistic: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """The weighted sum of one micro-batch's losses, and its records."""
    examples = [run.data.train[index] for index in indices]
    roles = run.objective.loss_roles
    policy = score(model, examples, roles, run.device)
    reference = _reference(run.data, roles, indices, run.device)
    output = run.objective.loss(policy, reference, examples, statistic)
    record = metrics.records(output, policy, reference, examples)
    return (output.losses * record[:, metrics.COLUMNS.index("weight")]).sum(), record


def _reference(
    data: Data, roles: Sequence[str], indices: Sequence[int], device: torch.device
) -> dict[str, Tensor]:
    if not data.train_reference:
        return {}
    return {role: data.train_reference[role][list(indices)].to(device) for role in roles}


def _check_first_step(
    run: Run, indices: Sequence[int], statistic: Mapping[str, Tensor], rows: Tensor
) -> None:
    """Before any update policy and reference agree, so the loss must be its value at equality.

    For DPO that is ln 2, for KTO half the weight. It catches wrong adapters, masks, dropout,
    tokenisation and stale caches before an hour is spent on them.
    """
    if run.config.reference != run.config.base_model or not run.data.train_reference:
        return
    examples = [run.data.train[index] for index in indices]
    same = _reference(run.data, run.objective.loss_roles, indices, torch.device("cpu"))
    zeros = {name: torch.zeros_like(value).cpu() for name, value in statistic.items()}
    losses = run.objective.loss(same, same, examples, zeros).losses
    weights = torch.tensor([example.weight for example in examples])
    expected = metrics.weighted_mean(losses.double(), weights.double())
    actual = metrics.summarize(rows)["loss"]
    tolerance = 1e-3 if run.config.dtype == "float32" else 5e-2
    if not abs(actual - expected) <= tolerance * max(1.0, abs(expected)):
        raise TrainingError(
            f"The first loss is {actual:.6f} where policy and reference are the same model and it "
            f"must be {expected:.6f}; the data or the model are not what the run assumes."
        )


def _resume(run: Run) -> int:
    """Load the last valid checkpoint, if any; the step to go on from."""
    found = checkpoints.latest_checkpoint(run.output / "checkpoints")
    if found is None:
        run.journal.rewind(-1)
        return 0
    if found.state["identity"] != _identity(run):
        raise TrainingError(
            "The output folder holds a checkpoint of a run with other settings, data, model or "
            "number of processes; use a new folder."
        )
    checkpoints.load_checkpoint(found, run.module, run.optimizer)
    run.journal.rewind(found.step)
    run.journal.say(f"Going on from the checkpoint after step {found.step}.")
    return found.step


def _identity(run: Run) -> dict[str, Any]:
    """What must be equal for a resumed run to be the same run; paths and devices may move."""
    free = {"output_dir", "train_file", "held_out_file", "base_model", "reference_model", "device"}
    values = {name: value for name, value in asdict(run.config).items() if name not in free}
    return {**values, **asdict(run.plan), "data": run.data.key}


def _checkpoint(run: Run, step: int) -> None:
    if run.accelerator.is_main_process:
        checkpoints.save_checkpoint(
            run.output / "checkpoints",
            step=step,
            module=run.module,
            optimizer=run.optimizer,
            state={"identity": _identity(run)},
        )
    run.accelerator.wait_for_everyone()


def _stopped(run: Run, step: int) -> bool:
    """Leave a checkpoint after `step` updates; always false, for the run is not done."""
    _checkpoint(run, step)
    run.journal.say(f"Stopped after step {step}; the next start goes on from there.")
    return False


def _save(run: Run, tokenizer: Any) -> None:
    """The whole model for any loader; a LoRA adapter also on its own beside it."""
    for unfinished in run.output.glob(".model-*"):
        shutil.rmtree(unfinished)
    policy: Any = run.module.model
    if run.config.adapter == "lora":
        policy.save_pretrained(run.output / "adapter")
        policy = merge_lora(policy)
    save_model(policy, tokenizer, run.output / "model")


def _plan(config: TrainingConfig, data: Data, accelerator: Accelerator) -> BatchPlan:
    return BatchPlan(
        examples=len(data.train),
        batch_size=config.batch_size,
        accumulation=config.gradient_accumulation,
        processes=accelerator.num_processes,
        seed=config.seed,
    )


def _optimizer(config: TrainingConfig, module: nn.Module) -> torch.optim.Optimizer:
    parameters = list(checkpoints.trainable(module).values())
    return torch.optim.AdamW(parameters, lr=0.0, weight_decay=config.weight_decay)


def _seed_step(seed: int, step: int, rank: int) -> None:
    """Dropout's randomness as a function of the step, so that a resumed run repeats it."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0]))


def _stop_everywhere(stop: StopRequest, accelerator: Accelerator) -> bool:
    """True on all processes as soon as one was asked to stop."""
    flag = torch.tensor(float(stop.is_set), device=accelerator.device)
    return bool(accelerator.reduce(flag, reduction="sum") > 0)


def _log_line(step: int, total: int, values: Mapping[str, float]) -> str:
    shown = ("loss", "reward_margin", "accuracy", "grad_norm", "seconds_per_step")
    parts = [f"{name} {values[name]:.4g}" for name in shown if name in values]
    return f"step {step}/{total}  " + "  ".join(parts)
