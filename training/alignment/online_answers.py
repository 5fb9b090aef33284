"""Answers to a step's prompts, measured and shared by all processes, or given up at a stop request.

Neither weights nor anything else that a checkpoint keeps is changed here, so that the work can be
dropped at any point and begun anew from the same seed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import nn

from training.alignment import watching
from training.alignment.experience import Answer, Experience, token_scores_of_all
from training.alignment.online_run import Run, sampling_seed, step_prompts
from training.alignment.rewards.composed import Scores
from training.alignment.rewards.penalties import MissingEndPenalty
from training.alignment.rollouts.protocol import Prompt, Rollout
from training.alignment.supervision import StopRequest


def answer(
    run: Run,
    stop: StopRequest,
    prompts: Sequence[Prompt],
    seed: int,
    clock: watching.Clock,
    *,
    count: int | None = None,
    rewarded: bool = True,
) -> Experience | None:
    """All processes' answers, `samples_per_prompt` or `count` a prompt; None at a stop request.

    Those that nobody learns from need no reward, which may cost money, and no value.

    A process that is asked to stop drops what it samples at once. It still meets the others where
    they share their answers, for they may not have been asked.
    """
    wanted = count or run.config.samples_per_prompt
    own = stop.cut_short(
        lambda: roll_out(run, prompts, seed, clock, count=wanted, rewarded=rewarded)
    )
    answers = gather_object(own or [])
    return None if stop_everywhere(run, stop) else Experience.of(answers, run.device)


def stop_everywhere(run: Run, stop: StopRequest) -> bool:
    """True on all processes as soon as one was asked to stop."""
    flag = torch.tensor(float(stop.is_set), device=run.device)
    return bool(run.accelerator.reduce(flag, reduction="sum") > 0)


def roll_out(
    run: Run,
    prompts: Sequence[Prompt],
    seed: int,
    clock: watching.Clock,
    *,
    count: int,
    rewarded: bool = True,
) -> list[Answer]:
    """This process's share of `count` answers a prompt, with all that is measured on them."""
    rank, processes = run.accelerator.process_index, run.accelerator.num_processes
    places = list(range(len(prompts)))[rank::processes]
    if not places:
        return []
    run.policy.eval()
    groups = run.sources.rollouts.sample(
        [prompts[place] for place in places],
        per_prompt=count,
        seed=seed,
        max_new_tokens=run.config.max_new_tokens,
        temperature=run.config.temperature,
    )
    clock.lap("generate")
    numbers = [place * count + sample for place in places for sample in range(count)]
    rollouts = [rollout for group in groups for rollout in group]
    return measure(run, numbers, rollouts, rewarded=rewarded)


def measure(
    run: Run, places: Sequence[int], rollouts: Sequence[Rollout], *, rewarded: bool
) -> list[Answer]:
    """Log-probabilities of policy and reference; `rewarded` also values and every reward."""
    size = run.config.batch_size

    def scored(scorer: nn.Module) -> list[Any]:
        return token_scores_of_all(scorer, rollouts, run.device, batch_size=size)

    old, reference = scored(run.policy), scored(run.reference)
    nothing = Scores(np.zeros(len(rollouts)), {})
    values = scored(run.critic) if run.critic and rewarded else [None] * len(rollouts)
    total, parts = rewards_of(run, rollouts) if rewarded else nothing
    return [
        Answer(
            place=place,
            rollout=rollout,
            old_logps=old[row],
            reference_logps=reference[row],
            old_values=values[row],
            reward=float(total[row]),
            rewards={name: float(rewards[row]) for name, rewards in parts.items()},
        )
        for row, (place, rollout) in enumerate(zip(places, rollouts, strict=True))
    ]


def rewards_of(run: Run, rollouts: Sequence[Rollout]) -> Scores:
    """What each answer is trained towards, and the parts of that beside what is only watched."""
    total, parts = run.sources.rewards.score(rollouts)
    watched = run.sources.watched
    parts = {**parts, **(watched.score(rollouts).parts if watched else {})}
    if not run.config.missing_end_penalty:
        return Scores(total, parts)
    cost = MissingEndPenalty(penalty=run.config.missing_end_penalty)
    taken = cost(rollouts)
    return Scores(total + taken, {**parts, cost.name: taken})


@torch.no_grad()
def watch(run: Run, stop: StopRequest, step: int) -> dict[str, float] | None:
    """Answer the held-out prompts, always with the same seed; their metrics and samples.

    Each name has `held_out_` before it. The answers go to step_samples.jsonl. None when a stop
    request came.
    """
    experience = answer(run, stop, run.held_out, run.config.seed, watching.Clock(), count=1)
    if experience is None:
        return None
    if run.accelerator.is_main_process:
        watching.append_samples(run.output, step, experience.answers)
    values = watching.rollout_metrics(experience, 1)
    return {f"held_out_{name}": value for name, value in values.items()}


@torch.no_grad()
def last_kl(run: Run, stop: StopRequest, total: int) -> dict[str, float] | None:
    """KL of the policy after the last of `total` steps, on the answers of a step that would follow.

    Each step measures the policy of those before it; a run with a budget must know the last one
    too. Each name has `final_` before it. None when a stop request came.
    """
    prompts, seed = step_prompts(run, total), sampling_seed(run.config.seed, total)
    experience = answer(run, stop, prompts, seed, watching.Clock(), rewarded=False)
    if experience is None:
        return None
    return {f"final_{name}": value for name, value in watching.kl_metrics(experience).items()}
