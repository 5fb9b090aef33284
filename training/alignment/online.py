"""The online loop: prompts and rewards in, a policy out that was trained on its own answers.

Read `train` from top to bottom. Every step has the same beats: learning rate, evaluate and
checkpoint, roll out, score, judge what came back, advantages, updates (micro-steps, clip, step,
zero), log, stop. What a step samples is a function of (seed, step), so that a run which is killed
anywhere goes on from its last checkpoint with the numbers of an unbroken one. It runs on a CPU, on
one GPU, or on several processes under `accelerate launch`: each answers its share of the prompts,
all share the answers, and the loss of an update is one weighted sum over them all.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from training.alignment import checkpoints, watching
from training.alignment.config import TrainingConfig
from training.alignment.experience import (
    Experience,
    text_scores,
    token_scores,
    trained_mask,
)
from training.alignment.failures import TrainingError
from training.alignment.journal import Journal
from training.alignment.kl import kl_estimates
from training.alignment.losses.policy_gradient import ptx_loss, sampler_weights, token_weights
from training.alignment.online_answers import answer, last_kl, stop_everywhere, watch
from training.alignment.online_checks import check_first_update, check_start, sampler_error
from training.alignment.online_run import (
    Run,
    Sources,
    call,
    checkpoint,
    hand_on_weights,
    prepare,
    resume,
    sampling_seed,
    save,
    step_prompts,
)
from training.alignment.optimization import seed_step, share_of_peak
from training.alignment.rewards.composed import OwnRewards
from training.alignment.scoring import packs
from training.alignment.supervision import StopRequest


class KLBudgetError(TrainingError):
    """The policy moved further from the reference than the run allows."""


def train(  # noqa: C901  # one loop, read from top to bottom
    config: TrainingConfig,
    accelerator: Accelerator,
    stop: StopRequest,
    sources: Sources | None = None,
    rewards: OwnRewards | None = None,
) -> bool:
    """Train and save the model; false when a stop request ended it early, with a checkpoint.

    `sources` are built from the configuration; a notebook may hand in its own, or only `rewards`.
    Raises OptionError, DataError, ModelError, RolloutError, RewardError or TrainingError with a
    message for people.
    """
    journal = Journal(Path(config.output_dir), active=accelerator.is_main_process)
    journal.progress("loading", 0, 1, f"Loading {Path(config.base_model).name}.")
    run = prepare(config, accelerator, journal, sources, rewards)
    total = run.plan.total_steps(config.epochs, config.max_steps)
    start, state = resume(run)
    models = {name: accelerator.prepare_model(module) for name, module in run.modules.items()}
    hand_on_weights(run)
    journal.say(
        f"Training on {len(run.prompts)} prompts in {total} steps of {run.plan.global_batch}. "
        f"Passes over them: {run.plan.passes(total):.3g}."
    )
    if not all(packs(scorer) for scorer in (run.reference, *run.modules.values())):
        journal.say("This kind of model is scored in padded batches, each prompt once an answer.")

    alarm = watching.Alarm(config.test_reward, journal)
    stop.waits_for_loop = True
    for step in range(start, total):
        share = share_of_peak(config, step, total)
        for group in run.optimizer.param_groups:
            group["lr"] = share * group["peak"]

        if run.held_out and step % config.evaluate_every == 0:
            journal.progress("held_out", step, total)
            values = watch(run, stop, step)
            if values is None:
                return _stopped(run, step, state)
            journal.metrics(step, total, values)
        if step > start and step % config.checkpoint_every == 0:
            checkpoint(run, step, state)

        journal.progress("training", step, total)
        clock = watching.Clock()
        seed = sampling_seed(config.seed, step)
        experience = answer(run, stop, step_prompts(run, step), seed, clock)
        if experience is None:
            # Nothing of this step is lost by giving it up: it will be sampled again as it was.
            return _stopped(run, step, state)
        values = {**state, **watching.rollout_metrics(experience, config.samples_per_prompt)}
        if step == 0:
            check_start(config, experience)
        alarm.look(values)
        if error := _reason_to_stop(run, experience, values, step):
            journal.metrics(step + 1, total, values)
            checkpoint(run, step, state)
            raise error
        learned = advantages(run, experience, state)
        values |= watching.value_metrics(experience, learned.get("returns"))
        clock.lap("score")
        seed_step(config.seed, step, accelerator.process_index)
        figures: list[dict[str, float]] = []
        for number, prompts in enumerate(updates(run, step)):
            one = update(run, stop, models, experience, learned, prompts, (step, number))
            if one is None:
                return _stopped(run, step, state)
            if (step, number) == (0, 0):
                check_first_update(config, run.hyperparameters, one)
            figures.append(one)
            if _is_far_enough(config, one):
                break
        state |= learned.get("state", {})
        hand_on_weights(run)
        clock.lap("train")

        values |= _means(figures) | {
            "updates": len(figures),
            "learning_rate": share * config.learning_rate,
            **clock.laps,
        }
        journal.metrics(step + 1, total, values)
        journal.progress("training", step + 1, total, _log_line(step + 1, total, values))
        if step + 1 < total and stop_everywhere(run, stop):
            return _stopped(run, step + 1, state)
    stop.waits_for_loop = False

    if start < total:
        checkpoint(run, total, state)
    if run.held_out or config.kl_budget is not None:
        journal.progress("held_out", total, total)
        values = watch(run, stop, total) if run.held_out else last_kl(run, stop, total)
        if values is None:
            return False
        journal.metrics(total, total, values)
        moved = "held_out_kl_k3" if run.held_out else "final_kl_k3"
        if _is_over_budget(run, values, moved):
            raise KLBudgetError(_budget_message(run, total, values[moved]))
    if accelerator.is_main_process:
        journal.progress("saving", 0, 1, "Saving the model.")
        save(run)
    accelerator.wait_for_everyone()
    return True


def advantages(run: Run, experience: Experience, state: Mapping[str, float]) -> dict[str, Any]:
    """What the method makes of a step's rewards: advantages [b, t], and returns and state if any.

    Beside them the weights that correct for the sampler's rounding, unless that is off.
    """
    config = run.config
    available = {**vars(experience), "state": state, **run.hyperparameters}
    available |= {"per_prompt": config.samples_per_prompt}
    learned: dict[str, Any] = call(run.statistic, available)
    if config.sampler_correction != "off":
        learned["sampler_weights"] = sampler_weights(
            experience.old_logps,
            experience.sampler_logps,
            experience.mask,
            level="sequence" if config.sampler_correction == "sequence" else "token",
            cap=config.sampler_cap,
        )
    return learned


def updates(run: Run, step: int) -> Iterator[list[int]]:
    """The prompts of each update, pass after pass: a function of (seed, step)."""
    for number in range(int(run.hyperparameters["epochs_per_batch"])):
        generator = np.random.default_rng([run.config.seed, step, number])
        order = generator.permutation(run.config.prompts_per_step)
        for part in np.split(order, int(run.hyperparameters["mini_batches"])):
            yield sorted(int(prompt) for prompt in part)


def update(
    run: Run,
    stop: StopRequest,
    models: Mapping[str, nn.Module],
    experience: Experience,
    learned: Mapping[str, Any],
    prompts: Sequence[int],
    position: tuple[int, int],
) -> dict[str, float] | None:
    """One optimiser update on all answers to some prompts; its figures.

    None when a stop request came while nothing was updated yet in the step at `position`, whose
    number it is and the update's. Several processes must agree, and finish the step.
    """
    count, accelerator = run.config.samples_per_prompt, run.accelerator
    together = [prompt * count + sample for prompt in prompts for sample in range(count)]
    own = prompts[accelerator.process_index :: accelerator.num_processes]
    mine = [prompt * count + sample for prompt in own for sample in range(count)]
    weights = torch.zeros_like(experience.old_logps)
    weights[together] = token_weights(
        experience.mask[together],
        run.hyperparameters["reduction"],
        max_length=run.config.max_new_tokens,
    )
    may_give_up = position[1] == 0 and accelerator.num_processes == 1

    def gives_up() -> bool:
        return may_give_up and stop.is_set

    sums = pretraining_step(run, models, position, len(together), gives_up) if run.ptx else {}
    if sums is None:
        return None
    for model in models.values():
        model.train()
    size = run.config.batch_size
    micro_batches = [mine[start : start + size] for start in range(0, len(mine), size)]
    for number, indices in enumerate(micro_batches):
        if gives_up():
            return None
        with ExitStack() as stack:
            if number < len(micro_batches) - 1:
                for model in models.values():
                    stack.enter_context(accelerator.no_sync(model))
            loss, figures = micro_step(run, models, experience, learned, weights, indices)
            # Processes average their gradients; this makes the average a sum over the update.
            accelerator.backward(loss * accelerator.num_processes)
        sums |= {name: sums.get(name, 0.0) + value for name, value in figures.items()}
    return _summed(run, sums) | {"grad_norm": _optimizer_step(run, position[0])}


def micro_step(
    run: Run,
    models: Mapping[str, nn.Module],
    experience: Experience,
    learned: Mapping[str, Any],
    weights: Tensor,
    indices: Sequence[int],
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of some answers' token losses, and sums of what is watched over tokens."""
    rollouts = [experience.answers[index].rollout for index in indices]
    settings = {"entropies": True} if run.hyperparameters["entropy_coefficient"] else {}
    scores = token_scores(models["policy"], rollouts, run.device, **settings)
    policy_logps, *entropies = scores.unbind(2) if settings else [scores]
    width, rows = policy_logps.shape[1], list(indices)

    def of(tensor: Any) -> Any:
        return tensor[rows, :width] if isinstance(tensor, Tensor) and tensor.ndim == 2 else tensor

    available = {name: of(value) for name, value in {**vars(experience), **learned}.items()}
    available |= {**run.hyperparameters, "policy_logps": policy_logps}
    if "critic" in models:
        available["values"] = token_scores(models["critic"], rollouts, run.device)
    if entropies:
        available["entropies"] = entropies[0]
    output = call(run.loss, available)
    loss = (output.losses * of(weights)).sum()
    moved = kl_estimates(available["old_logps"], policy_logps.detach()).k3
    tokens = {"kl_old": moved * available["mask"], "tokens": available["mask"], **output.figures}
    sums = {name: value.sum().double() for name, value in tokens.items()}
    return loss, sums | {"loss": loss.detach().double()}


def pretraining_step(
    run: Run,
    models: Mapping[str, nn.Module],
    position: tuple[int, int],
    answers: int,
    gives_up: Callable[[], bool],
) -> dict[str, Tensor] | None:
    """Gradient of PPO-ptx's second term, on this process's share of texts drawn for the update.

    None when the update is given up, for which it asks before each micro-step.
    """
    config, accelerator = run.config, run.accelerator
    generator = np.random.default_rng([config.seed, *position, 1])
    count = int(run.hyperparameters["ptx_examples"]) * answers
    drawn = [run.ptx[index] for index in generator.integers(len(run.ptx), size=count)]
    chosen = drawn[accelerator.process_index :: accelerator.num_processes]
    tokens = sum(item.sequences["completion"].trained_tokens for item in chosen)
    whole = accelerator.reduce(torch.tensor(float(tokens), device=run.device), reduction="sum")
    total = torch.zeros((), dtype=torch.float64, device=run.device)
    for start in range(0, len(chosen), config.batch_size):
        if gives_up():
            return None
        sequences = [
            item.sequences["completion"] for item in chosen[start : start + config.batch_size]
        ]
        with accelerator.no_sync(models["policy"]):
            logps = text_scores(models["policy"], sequences, run.device)
            loss = ptx_loss(logps, trained_mask(sequences).to(run.device)).sum() / whole
            scaled = run.hyperparameters["ptx_coefficient"] * loss * accelerator.num_processes
            accelerator.backward(scaled)
        total += loss.detach().double()
    return {"ptx_loss": total}


def _optimizer_step(run: Run, step: int) -> float:
    """Clip, step and zero; the norm before clipping."""
    parameters = list(checkpoints.trainable(run.modules).values())
    norm = float(nn.utils.clip_grad_norm_(parameters, run.config.max_grad_norm))
    if not math.isfinite(norm):
        raise TrainingError(
            f"The gradient is not finite at step {step + 1}; lower the learning rate."
        )
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    return norm


def _summed(run: Run, sums: Mapping[str, Tensor]) -> dict[str, float]:
    """Over all processes; what is not a loss is divided by the number of tokens."""
    names = sorted(sums)
    stacked = torch.stack([sums[name] for name in names])
    whole = dict(zip(names, run.accelerator.reduce(stacked, reduction="sum").tolist(), strict=True))
    tokens = whole.pop("tokens")
    return {
        name: value if name in ("loss", "ptx_loss") else value / tokens
        for name, value in whole.items()
    }


def _means(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each figure's mean over the step's updates; `kl_old` is that before the last of them."""
    means = {name: float(np.mean([item[name] for item in figures])) for name in figures[0]}
    return means | {"kl_old": figures[-1]["kl_old"]}


def _is_far_enough(config: TrainingConfig, figures: Mapping[str, float]) -> bool:
    return config.step_kl_limit is not None and figures["kl_old"] > config.step_kl_limit


def _reason_to_stop(
    run: Run, experience: Experience, values: Mapping[str, float], step: int
) -> TrainingError | None:
    """Why the step's answers must not be learnt from; None where they may."""
    error = sampler_error(
        run.config,
        run.sources.rollouts,
        difference=values["sampler_difference"],
        tokens=int(experience.mask.sum()),
        step=step,
    )
    if error is None and _is_over_budget(run, values):
        error = KLBudgetError(_budget_message(run, step, values["kl_k3"]))
    return error


def _is_over_budget(run: Run, values: Mapping[str, float], name: str = "kl_k3") -> bool:
    budget = run.config.kl_budget
    return budget is not None and values[name] > budget


def _budget_message(run: Run, step: int, moved: float) -> str:
    return (
        f"After step {step} the policy is {moved:.3g} nats an answer from the reference "
        f"(k3), more than the KL budget of {run.config.kl_budget:g}. A checkpoint of it is kept. "
        "Launch another run with a lower learning rate or a larger KL coefficient; or resume this "
        "one under a larger KL budget to go on."
    )


def _stopped(run: Run, step: int, state: Mapping[str, float]) -> bool:
    """Leave a checkpoint after `step` steps; always false, for the run is not done."""
    checkpoint(run, step, state)
    run.journal.say(f"Stopped after step {step}; the next start goes on from there.")
    return False


def _log_line(step: int, total: int, values: Mapping[str, float]) -> str:
    shown = ("reward", "kl_k3", "entropy", "completion_length", "loss", "seconds_per_step")
    late = [name for name in values if name.endswith("_timed_out") and values[name]]
    parts = [f"{name} {values[name]:.4g}" for name in (*shown, *late) if name in values]
    return f"step {step}/{total}  " + "  ".join(parts)
