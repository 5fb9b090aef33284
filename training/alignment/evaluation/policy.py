"""A policy against its reference: on held-out examples, and on what both write."""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.alignment import metrics
from training.alignment.batches import LIST_ROLE
from training.alignment.config import TrainingConfig
from training.alignment.estimates import Estimate, Floats, bootstrap, bootstrap_margin
from training.alignment.evaluation import samples
from training.alignment.evaluation.samples import Sampled
from training.alignment.journal import Journal
from training.alignment.models import load_tokenizer
from training.alignment.objective import LogProbs, Objective
from training.alignment.policies import load_scorer
from training.alignment.run_data import demonstrations, load_examples
from training.alignment.scoring import by_role, score_all, split_roles
from training.alignment.tokenization import Example, TokenSequence

# Gradients that lower the rejected answer lower what resembles it, and chosen answers do.
FELL = 1e-3


def evaluate_policy(
    config: TrainingConfig, policy: Path, output: Path, device: torch.device, journal: Journal
) -> dict[str, Any]:
    """Figures of a model folder on the run's held-out side; writes samples.jsonl."""
    objective = Objective.from_config(config)
    tokenizer = load_tokenizer(policy)
    examples, report = load_examples(config, objective, tokenizer, str(config.held_out_file))
    prompts = samples.sample_prompts(examples, config)
    extra = demonstrations(config, tokenizer)
    words = f"Evaluating on {len(examples)} held-out examples and {len(prompts)} prompts."
    journal.progress("evaluating", 0, 2 * len(prompts), words)

    reference = _reference(config, device)
    before_scores = _scores(reference, examples, objective, config, device)
    before_extra = _completions(reference, extra, config, device)
    before = samples.sample(reference, tokenizer, prompts, config)
    journal.progress("evaluating", len(prompts), 2 * len(prompts), "Sampled the reference.")
    del reference
    gc.collect()
    scorer = load_scorer(config, str(policy), device, dtype=torch.float32)
    after_scores = _scores(scorer, examples, objective, config, device)
    after_extra = _completions(scorer, extra, config, device)
    after = samples.sample(scorer, tokenizer, prompts, config)
    journal.progress("evaluating", 2 * len(prompts), 2 * len(prompts), "Sampled the policy.")
    policy_tokens = samples.token_log_probs(scorer, after.sequences, config, device)
    del scorer
    gc.collect()
    reference = _reference(config, device)
    reference_tokens = samples.token_log_probs(reference, after.sequences, config, device)
    del reference
    gc.collect()
    scores = _reward_scores(config, tokenizer, prompts, before, after, device)
    path = output / "samples.jsonl"
    samples.write_samples(path, prompts, before, after, policy_tokens, reference_tokens, scores)
    return {
        "method": config.method,
        "kind": "policy",
        "held_out": {
            **_held_out(objective, after_scores, before_scores, examples, config.seed),
            "dropped": report.rows - report.examples,
        },
        "movement": _movement(after_scores, before_scores, examples, config.seed),
        "perplexity": _perplexity(after_scores, before_scores, examples, config.seed),
        "alignment_tax": _perplexity(after_extra, before_extra, extra, config.seed),
        "kl": samples.divergence(policy_tokens, reference_tokens, config),
        "length": samples.lengths(before, after, config),
        "diversity": samples.diversity(before, after, config),
        "win_rate": {} if scores is None else _win_rate(*scores, config),
    }


def _reference(config: TrainingConfig, device: torch.device) -> Any:
    folder, adapter = config.reference, config.reference_adapter
    return load_scorer(config, folder, device, adapter, dtype=torch.float32)


def _scores(
    scorer: nn.Module,
    examples: Sequence[Example],
    objective: Objective,
    config: TrainingConfig,
    device: torch.device,
) -> dict[str, Tensor]:
    """Log-probabilities by role; a method that learns from its own answers has none to score."""
    if objective.method.loop == "online":
        return {}
    return _scored(scorer, examples, objective.roles, config, device)


def _completions(
    scorer: nn.Module, examples: Sequence[Example], config: TrainingConfig, device: torch.device
) -> dict[str, Tensor]:
    """Log-probabilities of the demonstrations beside the held-out side, if there are any."""
    return _scored(scorer, examples, ["completion"], config, device) if examples else {}


def _scored(
    scorer: nn.Module,
    examples: Sequence[Example],
    roles: Sequence[str],
    config: TrainingConfig,
    device: torch.device,
) -> dict[str, Tensor]:
    values = score_all(scorer, by_role(examples, roles), device, batch_size=2 * config.batch_size)
    return split_roles(values.cpu(), roles, examples)


def _held_out(
    objective: Objective,
    after: LogProbs,
    before: LogProbs,
    examples: Sequence[Example],
    seed: int,
) -> dict[str, Any]:
    """Loss, accuracy and margin by the method's own reward, and how far each has moved.

    Pairs that tie are in the loss alone.
    """
    clusters = [example.prompt_key for example in examples]
    counts = {"examples": len(examples), "prompts": len(set(clusters))}
    if not after:
        return counts
    start, rows = (_records(objective, side, before, examples) for side in (before, after))
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
        name: bootstrap(values, weights, clusters, seed)
        for name, values in measured.items()
        if not np.isnan(values).all()
    }
    return counts | figures


def _records(
    objective: Objective, policy: LogProbs, reference: LogProbs, examples: Sequence[Example]
) -> Tensor:
    statistic = objective.statistic(policy, reference)
    output = objective.loss(policy, reference, examples, statistic)
    shares = torch.tensor([objective.loss_weight(example) for example in examples])
    return metrics.records(output, policy, reference, examples, loss_weights=shares).double()


def _columns(rows: Tensor) -> dict[str, Floats]:
    return {name: rows[:, place].numpy() for place, name in enumerate(metrics.COLUMNS)}


def _movement(
    after: LogProbs, before: LogProbs, examples: Sequence[Example], seed: int
) -> dict[str, Any]:
    """Log-probability of whole chosen and rejected answers before and after, in nats."""
    found: dict[str, Any] = {}
    for side, role in (("chosen", "chosen"), ("rejected", "rejected"), ("chosen", "completion")):
        if role not in after or (role == "completion" and not _are_demonstrations(examples)):
            continue
        clusters = [example.prompt_key for example in examples]
        weights = np.array([example.weight for example in examples], dtype=float)
        first, second = (part[role].double().numpy() for part in (before, after))
        fell = (second < first - FELL).astype(float)
        found[side] = {
            "before": bootstrap(first, weights, clusters, seed),
            "after": bootstrap(second, weights, clusters, seed),
            "difference": bootstrap(second - first, weights, clusters, seed),
            "fell": bootstrap(fell, weights, clusters, seed),
        }
    return {**found, "unit": "nats per answer"} if found else {}


def _perplexity(
    after: LogProbs, before: LogProbs, examples: Sequence[Example], seed: int
) -> dict[str, Any]:
    """exp(-mean log-probability of a token) of good answers, before and after.

    Of demonstrations where there are some, else of the chosen answers; binary data give those that
    were called good. Answers count by their weight. What training costs on text that nobody asked
    it to change.
    """
    texts = _good_answers(after, examples)
    if texts is None:
        return {}
    name, role, sequences, chosen = texts
    tokens = np.array([one.trained_tokens for one in sequences], dtype=float)
    weights = tokens * np.array([examples[place].weight for place in chosen], dtype=float)
    clusters = [examples[place].prompt_key for place in chosen]
    sides = {}
    for side, scores in (("before", before), ("after", after)):
        values = scores[role].double().numpy()[chosen] / np.maximum(tokens, 1.0)
        sides[side] = _exponential(bootstrap(-values, weights, clusters, seed))
    return {**sides, "of": name, "tokens": int(tokens.sum()), "answers": len(sequences)}


def _good_answers(
    scores: LogProbs, examples: Sequence[Example]
) -> tuple[str, str, list[TokenSequence], list[int]] | None:
    if "chosen" in scores:
        everyone = list(range(len(examples)))
        return "chosen answers", "chosen", [one.sequences["chosen"] for one in examples], everyone
    if "completion" not in scores or LIST_ROLE in scores:
        return None
    good = [place for place, one in enumerate(examples) if one.target == 1.0]
    name = "demonstrations" if _are_demonstrations(examples) else "good answers"
    return name, "completion", [examples[place].sequences["completion"] for place in good], good


def _are_demonstrations(examples: Sequence[Example]) -> bool:
    """Demonstrations have one completion, which is good; binary data have bad ones too."""
    return all(
        set(example.sequences) == {"completion"} and example.target == 1.0 for example in examples
    )


def _exponential(estimate: Estimate) -> Estimate:
    return {
        name: None if value is None else float(np.exp(min(value, 700.0)))
        for name, value in estimate.items()
    }


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
        **bootstrap(wins, ones, clusters, config.seed),
        "scores": samples.change(before, after, config.seed),
        "prompts": len(before),
        "judge": Path(str(config.evaluation_reward_model)).name,
    }
