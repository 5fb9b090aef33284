"""The offline loop: frozen data in, a trained policy or reward model out.

Read `train` from top to bottom. Every step has the same beats: learning rate, evaluate and
checkpoint, statistic of the step, micro-steps, clip, step, zero, log, stop. It runs on a CPU, on
one GPU, or on several processes under `accelerate launch`; the loss of a step is one weighted mean
over its global batch, so the numbers do not depend on how the batch is split.
"""

import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, GradientAccumulationPlugin
from torch import Tensor, nn

from training.alignment import checkpoints, metrics
from training.alignment.batches import LIST_ROLE, passes, tokens_of
from training.alignment.config import TrainingConfig
from training.alignment.failures import TrainingError
from training.alignment.journal import Journal
from training.alignment.memory import TIDY_EVERY, return_freed_memory
from training.alignment.models import load_tokenizer
from training.alignment.objective import LogProbs, Objective, Statistic
from training.alignment.offline_checks import check_plain, starts_as_reference
from training.alignment.offline_run import Run, checkpoint, make_plan, resume, save, stopped
from training.alignment.optimization import learning_rate, make_optimizer, seed_step
from training.alignment.policies import load_trainee
from training.alignment.run_data import load_data
from training.alignment.scoring import by_role, packs, score, score_all, split_roles
from training.alignment.sharding import distribute, is_sharded, set_sync, shards, whole
from training.alignment.step_samples import write_step_samples
from training.alignment.supervision import StopRequest
from training.alignment.tokenization import Example, TokenSequence


def train(  # noqa: C901  # one loop, read from top to bottom
    config: TrainingConfig, accelerator: Accelerator, stop: StopRequest
) -> bool:
    """Train and save the model; false when a stop request ended it early, with a checkpoint.

    Raises OptionError, DataError, ModelError or TrainingError with a message for people.
    """
    run, tokenizer = _prepare(config, accelerator)
    data, journal, optimizer = run.data, run.journal, run.optimizer
    total = run.plan.total_steps(config.epochs, config.max_steps)
    start, state = resume(run)
    model = run.model
    parameters = list(checkpoints.trainable(run.module).values())
    journal.say(
        f"Training {len(data.train)} examples in {total} steps of {run.plan.global_batch}. "
        f"Passes over them: {run.plan.passes(total):.3g}."
    )
    if not packs(run.module):
        journal.say("This kind of model takes padded batches, each prompt once a completion.")

    stop.waits_for_loop = True
    for step in range(start, total):
        rate = learning_rate(config, step, total)
        for group in optimizer.param_groups:
            group["lr"] = rate
        seed_step(config.seed, step, accelerator.process_index)

        if data.held_out and step % config.evaluate_every == 0:
            journal.progress("held_out", step, total)
            journal.metrics(step, total, evaluate(run, state))
            write_step_samples(run, tokenizer, step)
        journal.progress("training", step, total)
        if step > start and step % config.checkpoint_every == 0:
            checkpoint(run, step, state)

        began = time.perf_counter()
        if (step - start) % TIDY_EVERY == 0:
            return_freed_memory()
        indices = run.plan.step_indices(step)
        micro_batches = run.plan.micro_batches(indices, data.lengths, accelerator.process_index)
        if step == 0 and not starts_as_reference(run):
            first = micro_batches[0]
            check_plain(run, first[_passes(run, first)[0]])
        statistic = _step_statistic(run, indices, micro_batches, state)
        weights = _loss_weights(run, indices, statistic)
        shares = _local_shares(run, weights, indices, micro_batches)
        model.train()
        rows = []
        for number, (micro, share) in enumerate(zip(micro_batches, shares, strict=True)):
            if _stop_everywhere(stop, accelerator):
                # A step on a slow machine may outlast the patience of who asks: give it up.
                return stopped(run, step, state)
            parts = _passes(run, micro)
            for part in parts:
                last = number == len(micro_batches) - 1 and part is parts[-1]
                set_sync(model, last=last)
                with nullcontext() if last or is_sharded(model) else accelerator.no_sync(model):
                    loss, record = _micro_step(run, model, micro[part], share[part], statistic)
                    # Processes average their gradients; this makes of the average a sum.
                    accelerator.backward(loss * accelerator.num_processes / weights.sum())
                rows.append(record)
        everything = accelerator.gather(torch.cat(rows))
        if step == 0:
            _check_first_step(run, indices, weights, everything)

        grad_norm = float(whole(nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)))
        if not math.isfinite(grad_norm):
            raise TrainingError(
                f"The gradient is not finite at step {step + 1}; lower the learning rate."
            )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        state = dict(statistic.state)

        values = metrics.summarize(everything) | {
            "learning_rate": rate,
            "grad_norm": grad_norm,
            "seconds_per_step": time.perf_counter() - began,
            **_figures(statistic),
        }
        journal.metrics(step + 1, total, values)
        journal.progress("training", step + 1, total, _log_line(step + 1, total, values))
        if step + 1 < total and _stop_everywhere(stop, accelerator):
            return stopped(run, step + 1, state)
    stop.waits_for_loop = False

    if start < total:
        checkpoint(run, total, state)
    if data.held_out:
        journal.progress("held_out", total, total)
        journal.metrics(total, total, evaluate(run, state))
        write_step_samples(run, tokenizer, total)
    save(run, tokenizer, state)
    accelerator.wait_for_everyone()
    return True


def make_accelerator(device: torch.device) -> Accelerator:
    """The process group's view; nothing of it changes the numbers, also where `accelerate config`
    asks for mixed precision or accumulation, which are this run's own settings.

    Raises TrainingError under engines that would compute in place of this loop.
    """
    for engine in ("DeepSpeed", "Megatron_LM"):
        if os.environ.get(f"ACCELERATE_USE_{engine.upper()}", "false").lower() == "true":
            raise TrainingError(
                f"The run was launched with {engine.replace('_', '-')}, which this loop does not "
                "work with. Launch it without; shard splits an offline run over processes."
            )
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="no",
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )


@torch.no_grad()
def evaluate(run: Run, state: Mapping[str, float]) -> dict[str, float]:
    """What `metrics.summarize` makes of the held-out side, each name with `held_out_` before it.

    Of demonstrations also `held_out_token_accuracy`: the share of tokens, those of an example by
    its weight, that are the likeliest at their place.
    """
    run.module.eval()
    objective, examples = run.objective, run.data.held_out
    sequences = by_role(examples, objective.roles)
    policy = split_roles(_score_held_out(run, sequences), objective.roles, examples)
    reference = {
        role: _cut(role, part, examples).to(run.device)
        for role, part in run.data.held_out_reference.items()
    }
    statistic = objective.statistic(policy, reference, examples, state)
    output = objective.loss(policy, reference, examples, statistic)
    weights = torch.tensor([objective.loss_weight(example) for example in examples])
    rows = metrics.records(
        output,
        policy,
        reference,
        examples,
        scores=objective.trains_rewards,
        loss_weights=weights,
    )
    values = metrics.summarize(rows)
    if objective.method.data == "demonstrations":
        hits = _score_held_out(run, sequences, {"first_choice": True})
        values["token_accuracy"] = metrics.token_accuracy(hits, examples)
    return {f"held_out_{name}": value for name, value in values.items()}


def _score_held_out(
    run: Run, sequences: Sequence[TokenSequence], settings: Mapping[str, bool] | None = None
) -> Tensor:
    """All of them, [n], the work shared by all processes."""
    accelerator = run.accelerator
    # Sharded processes compute each pass together, so none can take a share of its own.
    together = is_sharded(run.module)
    scores = score_all(
        run.module,
        sequences,
        run.device,
        batch_size=2 * run.config.batch_size,
        share=(0, 1) if together else (accelerator.process_index, accelerator.num_processes),
        settings=settings,
    )
    return scores if together else accelerator.reduce(scores, reduction="sum")


def _prepare(config: TrainingConfig, accelerator: Accelerator) -> tuple[Run, object]:
    """Load all that a run needs, and its tokenizer."""
    journal = Journal(Path(config.output_dir), active=accelerator.is_main_process)
    objective = Objective.from_config(config)
    journal.progress("loading", 0, 1, f"Loading {Path(config.base_model).name}.")
    tokenizer = load_tokenizer(config.base_model)

    def rows_used(examples: int) -> list[int]:
        plan = make_plan(config, examples, accelerator)
        steps = plan.total_steps(config.epochs, config.max_steps)
        return [row for step in range(steps) for row in plan.step_indices(step)]

    data = load_data(config, objective, tokenizer, accelerator, journal, rows_used)
    shard = shards(config, accelerator)
    # Sharding moves layer after layer to the device, which need not hold the whole model.
    place = torch.device("cpu") if shard else accelerator.device
    module = load_trainee(config, objective, place)
    model = distribute(module, accelerator, shard=shard)
    run = Run(
        config=config,
        objective=objective,
        data=data,
        plan=make_plan(config, len(data.train), accelerator),
        module=module,
        model=model,
        optimizer=make_optimizer(config, checkpoints.trainable(module).values()),
        accelerator=accelerator,
        journal=journal,
    )
    return run, tokenizer


@torch.no_grad()
def _step_statistic(
    run: Run,
    indices: Sequence[int],
    micro_batches: Sequence[Sequence[int]],
    state: Mapping[str, float],
) -> Statistic:
    """The method's statistic of the whole step, over all micro-steps and processes.

    It sees the examples in the step's own order, which does not depend on how they are split.
    """
    roles, train = run.objective.statistic_roles, run.data.train
    examples = [train[index] for index in indices]
    if not roles:
        return run.objective.statistic({}, {}, examples)
    run.module.eval()
    parts = [
        score(run.module, [train[i] for i in micro], roles, run.device) for micro in micro_batches
    ]
    places = run.plan.gathered_places(indices, run.data.lengths)
    gather = run.accelerator.gather
    policy = {role: gather(torch.cat([part[role] for part in parts]))[places] for role in roles}
    return run.objective.statistic(policy, _reference(run, roles, indices), examples, state)


def _loss_weights(run: Run, indices: Sequence[int], statistic: Statistic) -> Tensor:
    """Each example's share in the loss of the step, in the step's order: [n], float64."""
    examples = [run.data.train[index] for index in indices]
    weights = torch.tensor(
        [run.objective.loss_weight(example) for example in examples], dtype=torch.float64
    )
    if statistic.keep is not None:
        weights = weights * statistic.keep.cpu()
    if not weights.sum() > 0:
        raise TrainingError(
            "No example of a step has a weight above zero; raise batch_size or "
            "gradient_accumulation, or look at the weights of the data."
        )
    return weights


def _local_shares(
    run: Run,
    weights: Tensor,
    indices: Sequence[int],
    micro_batches: Sequence[Sequence[int]],
) -> list[Tensor]:
    """The weights of this process's micro-batches."""
    gathered = torch.empty_like(weights)
    gathered[run.plan.gathered_places(indices, run.data.lengths)] = weights
    size = run.config.batch_size * len(micro_batches)
    mine = gathered[run.accelerator.process_index * size :][:size]
    return list(torch.split(mine, run.config.batch_size))


def _passes(run: Run, indices: Sequence[int]) -> list[slice]:
    """The parts of a micro-batch that are computed at once, so that memory keeps to a limit.

    Sharded processes compute each pass together, and would not agree on how many there are.
    """
    limit = run.config.tokens_at_once(on_cpu=run.device.type == "cpu")
    examples = [run.data.train[index] for index in indices]
    return passes(tokens_of(examples), None if is_sharded(run.model) else limit)


def _micro_step(
    run: Run, model: nn.Module, indices: Sequence[int], weights: Tensor, statistic: Statistic
) -> tuple[Tensor, Tensor]:
    """The weighted sum of the losses of one pass, and its records."""
    examples = [run.data.train[index] for index in indices]
    roles = run.objective.loss_roles
    policy = score(model, examples, roles, run.device)
    reference = _reference(run, roles, indices)
    output = run.objective.loss(policy, reference, examples, statistic)
    record = metrics.records(
        output,
        policy,
        reference,
        examples,
        scores=run.objective.trains_rewards,
        loss_weights=weights,
    )
    return (output.losses * weights.to(output.losses)).sum(), record


def _reference(run: Run, roles: Sequence[str], indices: Sequence[int]) -> dict[str, Tensor]:
    values, examples = run.data.train_reference, [run.data.train[index] for index in indices]
    return {
        role: _cut(role, values[role][list(indices)], examples).to(run.device)
        for role in roles
        if role in values
    }


def _cut(role: str, values: Tensor, examples: Sequence[Example]) -> Tensor:
    """Lists of a whole side are padded to its longest, those of a batch only to their own."""
    if role != LIST_ROLE:
        return values
    return values[:, : max(len(example.sequences) for example in examples)]


def _check_first_step(run: Run, indices: Sequence[int], weights: Tensor, rows: Tensor) -> None:
    """Before any update policy and reference agree, so the loss must be its value at equality.

    For DPO that is ln 2, for KTO half the weight. So must the log-probabilities, for where good and
    bad examples balance a wrong loss may look right. It catches wrong adapters, masks, dropout,
    tokenisation and stale caches before an hour is spent on them.

    DPOP's penalty makes fifteen times as much of a chosen answer that rounding lowered, so the loss
    is held to ln 2 without it.
    """
    if not starts_as_reference(run):
        return
    examples = [run.data.train[index] for index in indices]
    objective = run.objective.without_penalty()
    same: LogProbs = _reference(run, objective.roles, indices)

    def mean_loss(policy: LogProbs) -> float:
        statistic = objective.statistic(same, same, examples)
        losses = objective.loss(policy, same, examples, statistic).losses
        return metrics.weighted_mean(losses.double().cpu(), weights)

    expected, actual = mean_loss(same), metrics.summarize(rows)["loss"]
    if objective is not run.objective:
        places = run.plan.gathered_places(indices, run.data.lengths)
        actual = mean_loss(metrics.moved(same, rows[places]))
    tolerance = 1e-3 if run.config.dtype == "float32" else 5e-2
    drift, size = metrics.drift(rows)
    if not abs(actual - expected) <= tolerance * max(1.0, abs(expected)):
        raise TrainingError(
            f"The first loss is {actual:.6f} where policy and reference are the same model and it "
            f"must be {expected:.6f}; the data or the model are not what the run assumes."
        )
    if drift > tolerance * max(1.0, size / 10.0):
        raise TrainingError(
            f"At the first step policy and reference are the same model, but their "
            f"log-probabilities differ by {drift:.4f} nats a completion; the data or the model are "
            "not what the run assumes."
        )


def _figures(statistic: Statistic) -> dict[str, float]:
    """What the step's statistic says, as numbers of a metrics line."""
    figures = {name: float(value) for name, value in statistic.values.items() if value.numel() == 1}
    if statistic.keep is not None:
        figures["kept_share"] = float(statistic.keep.float().mean())
    return figures


def _stop_everywhere(stop: StopRequest, accelerator: Accelerator) -> bool:
    """True on all processes as soon as one was asked to stop."""
    flag = torch.tensor(float(stop.is_set), device=accelerator.device)
    return bool(accelerator.reduce(flag, reduction="sum") > 0)


def _log_line(step: int, total: int, values: Mapping[str, float]) -> str:
    shown = ("loss", "reward_margin", "accuracy", "perplexity", "grad_norm", "seconds_per_step")
    parts = [f"{name} {values[name]:.4g}" for name in shown if name in values]
    return f"step {step}/{total}  " + "  ".join(parts)
