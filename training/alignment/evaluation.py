"""What a finished model is worth on held-out data, against its reference.

Preference accuracy and reward margin on all held-out examples; on samples of the policy, the KL
divergence from the reference and the length of answers before and after. Intervals are percentile
bootstraps that resample whole prompts, 95 %.
"""

import gc
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.alignment import metrics
from training.alignment.batches import collate
from training.alignment.config import TrainingConfig
from training.alignment.estimates import (
    Floats,
    bootstrap,
    bootstrap_margin,
    divergence_estimates,
)
from training.alignment.files import replace_whole, write_json
from training.alignment.generation import Response, generate, response_seed
from training.alignment.journal import Journal
from training.alignment.models import load_tokenizer
from training.alignment.objective import Objective
from training.alignment.policies import load_scorer
from training.alignment.run_data import load_examples
from training.alignment.scoring import by_role, score_all, split_roles
from training.alignment.tokenization import Example, Tokens, TokenSequence


@dataclass(frozen=True)
class Sampled:
    """Answers of one model to the same prompts."""

    responses: list[Response]
    sequences: list[TokenSequence]


def evaluate_model(
    config: TrainingConfig, policy: Path, output: Path, device: torch.device, journal: Journal
) -> dict[str, Any]:
    """Evaluate a model folder as the run's held-out side asks; writes evaluation.json and
    samples.jsonl into `output` and returns the former."""
    if config.held_out_file is None:
        raise ValueError("there is no held-out file to evaluate on")
    objective = Objective.from_config(config)
    tokenizer = load_tokenizer(policy)
    examples, report = load_examples(config, objective, tokenizer, config.held_out_file)
    prompts = _sample_prompts(examples, config)
    journal.progress(
        "evaluating",
        0,
        2 * len(prompts),
        f"Evaluating on {len(examples)} held-out examples and {len(prompts)} prompts.",
    )

    reference = load_scorer(config, config.reference, device)
    before_scores = _scores(reference, examples, objective.roles, config, device)
    before = _sample(reference, tokenizer, prompts, config)
    journal.progress("evaluating", len(prompts), 2 * len(prompts), "Sampled the reference.")
    del reference
    gc.collect()
    scorer = load_scorer(config, str(policy), device)
    after_scores = _scores(scorer, examples, objective.roles, config, device)
    after = _sample(scorer, tokenizer, prompts, config)
    journal.progress("evaluating", 2 * len(prompts), 2 * len(prompts), "Sampled the policy.")
    policy_tokens = _token_log_probs(scorer, after.sequences, config, device)
    del scorer
    gc.collect()
    reference = load_scorer(config, config.reference, device)
    reference_tokens = _token_log_probs(reference, after.sequences, config, device)

    statistic = objective.statistic(after_scores, before_scores)
    loss = objective.loss(after_scores, before_scores, examples, statistic)
    rows = metrics.records(loss, after_scores, before_scores, examples)
    result = {
        "method": config.method,
        "held_out": {
            **_held_out(rows, examples, config.seed),
            "dropped": report.rows - report.examples,
        },
        "kl": _divergence(policy_tokens, reference_tokens, config),
        "length": _lengths(before.responses, after.responses, config),
    }
    _write_samples(
        output / "samples.jsonl", prompts, before, after, policy_tokens, reference_tokens
    )
    write_json(output / "evaluation.json", result)
    return result


def _scores(
    scorer: nn.Module,
    examples: Sequence[Example],
    roles: Sequence[str],
    config: TrainingConfig,
    device: torch.device,
) -> dict[str, Tensor]:
    sequences = by_role(examples, roles)
    values = score_all(scorer, sequences, device, batch_size=2 * config.batch_size)
    return split_roles(values.cpu(), roles, examples)


def _held_out(rows: Tensor, examples: Sequence[Example], seed: int) -> dict[str, Any]:
    columns = {name: rows[:, index].double() for index, name in enumerate(metrics.COLUMNS)}
    clusters = [example.prompt_key for example in examples]
    weights = columns["weight"].numpy()
    chosen, rejected = columns["chosen_reward"], columns["rejected_reward"]
    measured = {
        "loss": columns["loss"],
        "accuracy": metrics.correctness(rows.double()),
        "chosen_reward": chosen,
        "rejected_reward": rejected,
        "log_ratio_chosen": columns["log_ratio_chosen"],
        "log_ratio_rejected": columns["log_ratio_rejected"],
    }
    figures: dict[str, Any] = {
        name: bootstrap(values.numpy(), weights, clusters, seed)
        for name, values in measured.items()
    }
    figures["reward_margin"] = bootstrap_margin(
        chosen.numpy(), rejected.numpy(), weights, clusters, seed
    )
    return {"examples": len(examples), "prompts": len(set(clusters)), **figures}


def _sample_prompts(examples: Sequence[Example], config: TrainingConfig) -> list[Example]:
    """One example for each of the first different prompts, in a seeded order."""
    order = np.random.default_rng([config.seed, 2]).permutation(len(examples))
    unique = {examples[index].prompt_key: examples[index] for index in reversed(order)}
    return list(reversed(unique.values()))[: config.sample_prompts]


def _prompt_tokens(example: Example) -> Tokens:
    return next(iter(example.sequences.values())).prompt


def _sample(
    scorer: Any, tokenizer: Any, prompts: Sequence[Example], config: TrainingConfig
) -> Sampled:
    """Answers at temperature 1 without top-p: KL is defined on the policy's own distribution."""
    responses: list[Response] = []
    width = 2 * config.batch_size
    for start in range(0, len(prompts), width):
        chosen = prompts[start : start + width]
        with torch.autocast(
            scorer.model.device.type,
            dtype=torch.bfloat16,
            enabled=scorer.compute_dtype is not torch.float32,
        ):
            responses += generate(
                scorer.model,
                tokenizer,
                [_prompt_tokens(example) for example in chosen],
                [response_seed(config.seed, example.prompt_key, 0) for example in chosen],
                max_new_tokens=config.sample_max_new_tokens,
            )
    sequences = [
        TokenSequence(_prompt_tokens(example), response.tokens)
        for example, response in zip(prompts, responses, strict=True)
    ]
    return Sampled(responses, sequences)


@torch.no_grad()
def _token_log_probs(
    scorer: nn.Module,
    sequences: Sequence[TokenSequence],
    config: TrainingConfig,
    device: torch.device,
) -> list[Floats]:
    """Log-probability of every token of every answer, in the order of the answers."""
    found: list[Floats] = []
    width = 2 * config.batch_size
    for start in range(0, len(sequences), width):
        chosen = sequences[start : start + width]
        values = scorer(*collate(chosen, device)).double().cpu().numpy()
        ends = np.cumsum([len(sequence.completion) for sequence in chosen])[:-1]
        found += np.split(values, ends)
    return found


def _divergence(
    policy: Sequence[Floats], reference: Sequence[Floats], config: TrainingConfig
) -> dict[str, Any]:
    pairs = list(zip(policy, reference, strict=True))
    estimates = np.array([divergence_estimates(*pair) for pair in pairs]).reshape(-1, 2)
    lengths = np.array([len(values) for values in policy], dtype=float)
    ones, clusters = np.ones(len(pairs)), [str(number) for number in range(len(pairs))]
    per_token = estimates / np.maximum(lengths, 1.0)[:, None]
    return {
        "k1": bootstrap(estimates[:, 0], ones, clusters, config.seed),
        "k3": bootstrap(estimates[:, 1], ones, clusters, config.seed),
        "k1_per_token": bootstrap(per_token[:, 0], lengths, clusters, config.seed),
        "k3_per_token": bootstrap(per_token[:, 1], lengths, clusters, config.seed),
        "unit": "nats per response",
        "prompts": len(pairs),
        "tokens": int(lengths.sum()),
        "temperature": 1.0,
        "max_new_tokens": config.sample_max_new_tokens,
    }


def _lengths(
    before: Sequence[Response], after: Sequence[Response], config: TrainingConfig
) -> dict[str, Any]:
    first = np.array([len(response.tokens) for response in before], dtype=float)
    second = np.array([len(response.tokens) for response in after], dtype=float)
    ones, clusters = np.ones(len(first)), [str(number) for number in range(len(first))]
    return {
        "before": bootstrap(first, ones, clusters, config.seed),
        "after": bootstrap(second, ones, clusters, config.seed),
        "difference": bootstrap(second - first, ones, clusters, config.seed),
        "cut_before": sum(response.finish_reason == "length" for response in before),
        "cut_after": sum(response.finish_reason == "length" for response in after),
        "unit": "tokens",
        "prompts": len(first),
        "max_new_tokens": config.sample_max_new_tokens,
    }


def _write_samples(
    path: Path,
    prompts: Sequence[Example],
    before: Sampled,
    after: Sampled,
    policy: Sequence[Floats],
    reference: Sequence[Floats],
) -> None:
    lines = [
        {
            "prompt": example.prompt,
            "before": first.text,
            "after": second.text,
            "before_tokens": len(first.tokens),
            "after_tokens": len(second.tokens),
            "log_ratio": float((ours - theirs).sum()),
        }
        for example, first, second, ours, theirs in zip(
            prompts, before.responses, after.responses, policy, reference, strict=True
        )
    ]
    with replace_whole(path) as temporary:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        temporary.write_text(text, "utf-8")
