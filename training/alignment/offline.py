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
from dataclasses import asdict
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
from training.alignment.objective import Objective, by_role, score, score_all, split_roles
from training.alignment.policies import compute_dtype, load_policy
from training.alignment.run_data import Data, load_data
from training.alignment.supervision import StopRequest


class TrainingError(RuntimeError):
    """Training cannot go on; the message is one sentence for the person who launched it."""


def train(  # noqa: C901  # one loop, read from top to bottom
    config: TrainingConfig, accelerator: Accelerator, stop: StopRequest
) -> bool:
    """Train and save the model; false when a stop request ended it early, with a checkpoint.

    Raises OptionError, DataError, ModelError or TrainingError with a message for people.
    """
    output, rank = Path(config.output_dir), accelerator.process_index
    journal = Journal(output, active=accelerator.is_main_process)
    objective = Objective.from_config(config)
    journal.progress("loading", 0, 1, f"Loading {Path(config.base_model).name}.")
    tokenizer = load_tokenizer(config.base_model)
    data = load_data(config, objective, tokenizer, accelerator, journal)
    plan = BatchPlan(
        len(data.train),
        config.batch_size,
        config.gradient_accumulation,
        accelerator.num_processes,
        config.seed,
    )
    total = plan.total_steps(config.epochs, config.max_steps)
    policy = load_policy(config, accelerator.device)
    module = CompletionScorer(policy, compute_dtype(config))
    parameters = list(checkpoints.trainable(module).values())
    optimizer = torch.optim.AdamW(parameters, lr=0.0, weight_decay=config.weight_decay)
    start = _resume(config, plan, module, optimizer, journal)
    model: nn.Module = accelerator.prepare_model(module)
    lengths = [len(example) for example in data.train]
    journal.say(f"Training {len(data.train)} examples in {total} steps of {plan.global_batch}.")

    stop.waits_for_loop = True
    for step in range(start, total):
        rate = learning_rate(config, step, total)
        for group in optimizer.param_groups:
            group["lr"] = rate
        _seed_step(config.seed, step, rank)

        if data.held_out and step % config.evaluate_every == 0:
            values = evaluate(config, objective, module, data, accelerator)
            journal.metrics(step, total, values)
        if step > start and step % config.checkpoint_every == 0:
            _checkpoint(config, plan, step, module, optimizer, accelerator)

        began = time.perf_counter()
        indices = plan.step_indices(step)
        weight = sum(data.train[index].weight for index in indices)
        micro_batches = plan.micro_batches(indices, lengths, rank)
        statistic = _step_statistic(objective, module, data, micro_batches, accelerator)
        model.train()
        rows = []
        for number, micro in enumerate(micro_batches):
            if _stop_everywhere(stop, accelerator):
                # A step on a slow machine may outlast the patience of who asks: give it up.
                return _stopped(config, plan, step, module, optimizer, accelerator, journal)
            last = number == len(micro_batches) - 1
            with nullcontext() if last else accelerator.no_sync(model):
                loss, record = _micro_step(
                    objective, model, data, micro, statistic, accelerator.device
                )
                # Processes average their gradients; this makes the average a sum over the batch.
                accelerator.backward(loss * accelerator.num_processes / weight)
            rows.append(record)
        everything = accelerator.gather(torch.cat(rows))
        if step == 0:
            _check_first_step(config, objective, data, indices, statistic, everything)

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
        if _stop_everywhere(stop, accelerator) and step + 1 < total:
            return _stopped(config, plan, step + 1, module, optimizer, accelerator, journal)
    stop.waits_for_loop = False

    if start < total:
        _checkpoint(config, plan, total, module, optimizer, accelerator)
    if data.held_out:
        journal.metrics(total, total, evaluate(config, objective, module, data, accelerator))
    if accelerator.is_main_process:
        journal.progress("saving", 0, 1, "Saving the model.")
        _save(config, policy, tokenizer, output)
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
def evaluate(
    config: TrainingConfig,
    objective: Objective,
    module: nn.Module,
    data: Data,
    accelerator: Accelerator,
) -> dict[str, float]:
    """Held-out loss, accuracy, margin and log-ratios, each name with `held_out_` before it."""
    module.eval()
    roles = (*objective.loss_roles, *objective.statistic_roles)
    scores = score_all(
        module,
        by_role(data.held_out, roles),
        accelerator.device,
        batch_size=2 * config.batch_size,
        share=(accelerator.process_index, accelerator.num_processes),
    )
    policy = split_roles(accelerator.reduce(scores, reduction="sum"), roles)
    reference = {role: part.to(scores) for role, part in data.held_out_reference.items()}
    statistic = objective.statistic(policy, reference)
    output = objective.loss(policy, reference, data.held_out, statistic)
    rows = metrics.records(output, policy, reference, data.held_out)
    return {f"held_out_{name}": value for name, value in metrics.summarize(rows).items()}


def _micro_step(
    objective: Objective,
    model: nn.Module,
    data: Data,
    indices: Sequence[int],
    statistic: Mapping[str, Tensor],
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """The weighted sum of one micro-batch's losses, and its records."""
    examples = [data.train[index] for index in indices]
    policy = score(model, examples, objective.loss_roles, device)
    reference = _reference(data, objective.loss_roles, indices, device)
    output = objective.loss(policy, reference, examples, statistic)
    record = metrics.records(output, policy, reference, examples)
    return (output.losses * record[:, metrics.COLUMNS.index("weight")]).sum(), record


@torch.no_grad()
def _step_statistic(
    objective: Objective,
    module: nn.Module,
    data: Data,
    micro_batches: Sequence[Sequence[int]],
    accelerator: Accelerator,
) -> dict[str, Tensor]:
    """The method's statistic of the whole step, over all micro-steps and processes."""
    roles = objective.statistic_roles
    if not roles:
        return {}
    module.eval()
    device = accelerator.device
    scores = [
        score(module, [data.train[index] for index in micro], roles, device)
        for micro in micro_batches
    ]
    indices = [index for micro in micro_batches for index in micro]
    reference = _reference(data, roles, indices, device)
    policy = {
        role: accelerator.gather(torch.cat([part[role] for part in scores])) for role in roles
    }
    everywhere = {role: accelerator.gather(part) for role, part in reference.items()}
    return objective.statistic(policy, everywhere)


def _reference(
    data: Data, roles: Sequence[str], indices: Sequence[int], device: torch.device
) -> dict[str, Tensor]:
    if not data.train_reference:
        return {}
    return {role: data.train_reference[role][list(indices)].to(device) for role in roles}


def _check_first_step(
    config: TrainingConfig,
    objective: Objective,
    data: Data,
    indices: Sequence[int],
    statistic: Mapping[str, Tensor],
    rows: Tensor,
) -> None:
    """Before any update policy and reference agree, so the loss must be its value at equality.

    For DPO that is ln 2, for KTO half the weight. It catches wrong adapters, masks, dropout,
    tokenisation and stale caches before an hour is spent on them.
    """
    if config.reference != config.base_model or not data.train_reference:
        return
    examples = [data.train[index] for index in indices]
    same = _reference(data, objective.loss_roles, indices, torch.device("cpu"))
    zeros = {name: torch.zeros_like(value).cpu() for name, value in statistic.items()}
    losses = objective.loss(same, same, examples, zeros).losses
    weights = torch.tensor([example.weight for example in examples])
    expected = metrics.weighted_mean(losses.double(), weights.double())
    actual = metrics.summarize(rows)["loss"]
    tolerance = 1e-3 if config.dtype == "float32" else 5e-2
    if not abs(actual - expected) <= tolerance * max(1.0, abs(expected)):
        raise TrainingError(
            f"The first loss is {actual:.6f} where policy and reference are the same model and it "
            f"must be {expected:.6f}; the data or the model are not what the run assumes."
        )


def _resume(
    config: TrainingConfig,
    plan: BatchPlan,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    journal: Journal,
) -> int:
    """Load the last valid checkpoint, if any; the step to go on from."""
    found = checkpoints.latest_checkpoint(Path(config.output_dir) / "checkpoints")
    if found is None:
        journal.rewind(-1)
        return 0
    if found.state["identity"] != _identity(config, plan):
        raise TrainingError(
            "The output folder holds a checkpoint of a run with other settings, data or number of "
            "processes; use a new folder."
        )
    checkpoints.load_checkpoint(found, module, optimizer)
    journal.rewind(found.step)
    journal.say(f"Going on from the checkpoint after step {found.step}.")
    return found.step


def _identity(config: TrainingConfig, plan: BatchPlan) -> dict[str, Any]:
    """What must be equal for a resumed run to be the same run; paths and devices may move."""
    free = {"output_dir", "train_file", "held_out_file", "base_model", "reference_model", "device"}
    values = {name: value for name, value in asdict(config).items() if name not in free}
    values["hyperparameters"] = dict(config.hyperparameters)
    return {**values, **asdict(plan)}


def _checkpoint(
    config: TrainingConfig,
    plan: BatchPlan,
    step: int,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
) -> None:
    if accelerator.is_main_process:
        checkpoints.save_checkpoint(
            Path(config.output_dir) / "checkpoints",
            step=step,
            module=module,
            optimizer=optimizer,
            state={"identity": _identity(config, plan)},
        )
    accelerator.wait_for_everyone()


def _stopped(
    config: TrainingConfig,
    plan: BatchPlan,
    step: int,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    journal: Journal,
) -> bool:
    """Leave a checkpoint after `step` updates; always false, for the run is not done."""
    _checkpoint(config, plan, step, module, optimizer, accelerator)
    journal.say(f"Stopped after step {step}; the next start goes on from there.")
    return False


def _save(config: TrainingConfig, policy: Any, tokenizer: Any, output: Path) -> None:
    """The whole model for any loader; a LoRA adapter also on its own beside it."""
    for unfinished in output.glob(".model-*"):
        shutil.rmtree(unfinished)
    if config.adapter == "lora":
        policy.save_pretrained(output / "adapter")
        policy = merge_lora(policy)
    save_model(policy, tokenizer, output / "model")


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
