"""A policy against its reference: on held-out examples, and on what both write."""

import gc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from training.alignment import metrics
from training.alignment.config import TrainingConfig
from training.alignment.estimates import Floats, bootstrap, bootstrap_margin, bootstrap_share
from training.alignment.evaluation import samples
from training.alignment.evaluation.likelihood import (
    PAIR_ROLES,
    movement,
    perplexity,
    preferences,
)
from training.alignment.evaluation.samples import Sampled
from training.alignment.journal import Journal
from training.alignment.models import load_tokenizer
from training.alignment.objective import LogProbs, Objective
from training.alignment.offline_run import method_state
from training.alignment.policies import load_scorer
from training.alignment.run_data import demonstrations, held_out_pairs, load_examples
from training.alignment.scoring import by_role, score_all, split_roles
from training.alignment.tokenization import Example

SHARES = ("accuracy", "accuracy_before", "pair_accuracy", "best_first")


class Texts(NamedTuple):
    """What the reference and the policy both score, and the prompts that both answer.

    `pairs` are `examples` where the method itself reads pairs.
    """

    examples: list[Example]
    roles: Sequence[str]
    demonstrations: list[Example]
    pairs: list[Example]
    prompts: list[Example]


class Measured(NamedTuple):
    """Log-probabilities by role of each of the texts, and what the model wrote."""

    scores: LogProbs
    demonstrations: LogProbs
    pairs: LogProbs
    sampled: Sampled


def evaluate_policy(
    config: TrainingConfig, policy: Path, output: Path, device: torch.device, journal: Journal
) -> dict[str, Any]:
    """Figures of a model folder on the run's held-out side; writes samples.jsonl."""
    objective = Objective.from_config(config)
    tokenizer = load_tokenizer(policy)
    examples, report = load_examples(config, objective, tokenizer, str(config.held_out_file))
    texts = _texts(config, objective, tokenizer, examples)
    prompts = texts.prompts
    words = f"Evaluating on {len(examples)} held-out examples and {len(prompts)} prompts."
    journal.progress("evaluating", 0, 2 * len(prompts), words)

    # No more than one model is in memory at any time.
    before = _measured(_reference(config, device), tokenizer, texts, config, device)
    gc.collect()
    journal.progress("evaluating", len(prompts), 2 * len(prompts), "Sampled the reference.")
    scorer = load_scorer(config, str(policy), device, dtype=torch.float32)
    after = _measured(scorer, tokenizer, texts, config, device)
    journal.progress("evaluating", 2 * len(prompts), 2 * len(prompts), "Sampled the policy.")
    answers = after.sampled.sequences
    policy_tokens = samples.token_log_probs(scorer, answers, config, device)
    del scorer
    gc.collect()
    reference_tokens = samples.token_log_probs(_reference(config, device), answers, config, device)
    gc.collect()
    sampled = before.sampled, after.sampled
    scores = _reward_scores(config, tokenizer, prompts, *sampled, device)
    path = output / "samples.jsonl"
    samples.write_samples(path, prompts, *sampled, policy_tokens, reference_tokens, scores)
    held_out = _held_out(objective, after.scores, before.scores, examples, config)
    return {
        "method": config.method,
        "kind": "policy",
        "held_out": {**held_out, "dropped": report.rows - report.examples},
        **_likelihoods(texts, after, before, config.seed),
        "kl": samples.divergence(policy_tokens, reference_tokens, config),
        "length": samples.lengths(*sampled, config),
        "diversity": samples.diversity(*sampled, config),
        "win_rate": {} if scores is None else _win_rate(*scores, config),
    }


def _texts(
    config: TrainingConfig, objective: Objective, tokenizer: Any, examples: list[Example]
) -> Texts:
    pairs = examples if objective.method.data == "pairs" else held_out_pairs(config, tokenizer)
    # A method that learns from its own answers has none on file to score.
    roles = () if objective.method.loop == "online" else objective.roles
    prompts = samples.sample_prompts(examples, config)
    return Texts(examples, roles, demonstrations(config, tokenizer), pairs, prompts)


def _reference(config: TrainingConfig, device: torch.device) -> Any:
    folder, adapter = config.reference, config.reference_adapter
    return load_scorer(config, folder, device, adapter, dtype=torch.float32)


def _measured(
    scorer: nn.Module, tokenizer: Any, texts: Texts, config: TrainingConfig, device: torch.device
) -> Measured:
    def scored(examples: Sequence[Example], roles: Sequence[str]) -> LogProbs:
        if not examples or not roles:
            return {}
        sequences = by_role(examples, roles)
        values = score_all(scorer, sequences, device, batch_size=2 * config.batch_size)
        return split_roles(values.cpu(), roles, examples)

    own = scored(texts.examples, texts.roles)
    return Measured(
        own,
        scored(texts.demonstrations, ["completion"]),
        own if texts.pairs is texts.examples else scored(texts.pairs, PAIR_ROLES),
        samples.sample(scorer, tokenizer, texts.prompts, config),
    )


def _likelihoods(texts: Texts, after: Measured, before: Measured, seed: int) -> dict[str, Any]:
    own, extra = texts.examples, texts.demonstrations
    return {
        "preferences": preferences(after.pairs, before.pairs, texts.pairs, seed),
        "movement": movement(after.scores, before.scores, own, seed),
        "perplexity": perplexity(after.scores, before.scores, own, seed),
        "alignment_tax": perplexity(after.demonstrations, before.demonstrations, extra, seed),
    }


def _held_out(
    objective: Objective,
    after: LogProbs,
    before: LogProbs,
    examples: Sequence[Example],
    config: TrainingConfig,
) -> dict[str, Any]:
    """Loss, accuracy and margin by the method's own reward, and how far each has moved.

    Pairs that tie are in the loss alone.
    """
    clusters = [example.prompt_key for example in examples]
    counts = {"examples": len(examples), "prompts": len(set(clusters))}
    if not after:
        return counts
    state, seed = method_state(Path(config.output_dir)), config.seed
    start, rows = (_records(objective, side, before, examples, state) for side in (before, after))
    first, columns = _columns(start), _columns(rows)
    weights, loss_weights = columns["weight"], columns["loss_weight"]
    figures = {
        "loss": bootstrap(columns["loss"], loss_weights, clusters, seed),
        "loss_moved": bootstrap(columns["loss"] - first["loss"], loss_weights, clusters, seed),
    }
    names = (
        "chosen_reward", "rejected_reward", "log_ratio_chosen", "log_ratio_rejected",
        "pair_accuracy", "kendall_tau", "best_first",
    )  # fmt: skip
    chosen, rejected = columns["chosen_reward"], columns["rejected_reward"]
    measured = {name: columns[name] for name in names}
    if not (np.isnan(chosen).all() and np.isnan(rejected).all()):
        measured["accuracy"] = metrics.correctness(rows).numpy()
        measured["accuracy_before"] = metrics.correctness(start).numpy()
        figures["reward_margin"] = bootstrap_margin(chosen, rejected, weights, clusters, seed)
        figures["reward_margin_moved"] = bootstrap_margin(
            chosen - first["chosen_reward"],
            rejected - first["rejected_reward"],
            weights,
            clusters,
            seed,
        )
    moved, other = columns["log_ratio_chosen"], columns["log_ratio_rejected"]
    if not (np.isnan(moved).all() or np.isnan(other).all()):
        figures["log_ratio_margin"] = bootstrap_margin(moved, other, weights, clusters, seed)
    figures |= {
        name: (bootstrap_share if name in SHARES else bootstrap)(values, weights, clusters, seed)
        for name, values in measured.items()
        if not np.isnan(values).all()
    }
    return counts | figures


def _records(
    objective: Objective,
    policy: LogProbs,
    reference: LogProbs,
    examples: Sequence[Example],
    state: Mapping[str, float],
) -> Tensor:
    statistic = objective.statistic(policy, reference, examples, state)
    output = objective.loss(policy, reference, examples, statistic)
    shares = torch.tensor([objective.loss_weight(example) for example in examples])
    return metrics.records(output, policy, reference, examples, loss_weights=shares).double()


def _columns(rows: Tensor) -> dict[str, Floats]:
    return {name: rows[:, place].numpy() for place, name in enumerate(metrics.COLUMNS)}


def _reward_scores(
    config: TrainingConfig,
    tokenizer: Any,
    prompts: Sequence[Example],
    before: Sampled,
    after: Sampled,
    device: torch.device,
) -> tuple[Floats, Floats] | None:
    """What the run's evaluation reward model thinks of both answers, or None without one."""
    if config.evaluation_reward_model is None or not prompts:
        return None
    from training.alignment.rewards.reward_models import RewardModelSource
    from training.alignment.rollouts.protocol import Rollout

    source = RewardModelSource.load(
        [config.evaluation_reward_model], tokenizer, dtype=torch.float32, device=device
    )
    sides = []
    for side in (before, after):
        rollouts = [
            Rollout(
                sequence.prompt, example.prompt, sequence.completion, response.text,
                np.zeros(0, np.float32), response.finish_reason, place,
            )
            for place, (example, sequence, response) in enumerate(
                zip(prompts, side.sequences, side.responses, strict=True)
            )
        ]  # fmt: skip
        sides.append(source(rollouts))
    return sides[0], sides[1]


def _win_rate(before: Floats, after: Floats, config: TrainingConfig) -> dict[str, Any]:
    """How often the policy's answer scores higher than the reference's, ties counting half."""
    ones, clusters = np.ones(len(before)), [str(number) for number in range(len(before))]
    wins = 0.5 + 0.5 * np.sign(after - before)
    return {
        **bootstrap_share(wins, ones, clusters, config.seed),
        "scores": samples.change(before, after, config.seed),
        "prompts": len(before),
        "judge": Path(str(config.evaluation_reward_model)).name,
    }
