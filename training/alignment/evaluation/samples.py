"""Answers of two models to the same prompts, and what is measured on them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from training.alignment.batches import collate
from training.alignment.config import TrainingConfig
from training.alignment.estimates import Floats, bootstrap, divergence_estimates
from training.alignment.evaluation.texts import alike, distinct, repetition
from training.alignment.files import replace_whole
from training.alignment.generation import Response, generate, response_seed
from training.alignment.tokenization import Example, Tokens, TokenSequence


@dataclass(frozen=True)
class Sampled:
    """Answers of one model to the same prompts."""

    responses: list[Response]
    sequences: list[TokenSequence]


def sample_prompts(examples: Sequence[Example], config: TrainingConfig) -> list[Example]:
    """One example for each of the first different prompts, in a seeded order."""
    order = np.random.default_rng([config.seed, 2]).permutation(len(examples))
    unique = {examples[index].prompt_key: examples[index] for index in reversed(order)}
    return list(reversed(unique.values()))[: config.sample_prompts]


def sample(
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
def token_log_probs(
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


def divergence(
    policy: Sequence[Floats], reference: Sequence[Floats], config: TrainingConfig
) -> dict[str, Any]:
    """KL of the policy from the reference on the policy's answers: k1 and k3, see estimates."""
    pairs = list(zip(policy, reference, strict=True))
    estimates = np.array([divergence_estimates(*pair) for pair in pairs]).reshape(-1, 2)
    lengths = np.array([len(values) for values in policy], dtype=float)
    ones, clusters = _units(len(pairs))
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


def lengths(before: Sampled, after: Sampled, config: TrainingConfig) -> dict[str, Any]:
    """Tokens of the answers, and how many were cut off."""
    first = np.array([len(response.tokens) for response in before.responses], dtype=float)
    second = np.array([len(response.tokens) for response in after.responses], dtype=float)
    return {
        **change(first, second, config.seed),
        "cut_before": sum(one.finish_reason == "length" for one in before.responses),
        "cut_after": sum(one.finish_reason == "length" for one in after.responses),
        "unit": "tokens",
        "prompts": len(first),
        "max_new_tokens": config.sample_max_new_tokens,
    }


def diversity(before: Sampled, after: Sampled, config: TrainingConfig) -> dict[str, Any]:
    """Distinct words and repetition inside the answers, and how alike answers to different prompts
    are; each before and after."""
    words = [[one.text.split() for one in side.responses] for side in (before, after)]

    def measured(function: Any) -> dict[str, Any]:
        first, second = (np.array([function(text) for text in side]) for side in words)
        return change(first, second, config.seed)

    return {
        "distinct_1": measured(lambda text: distinct(text, 1)),
        "distinct_2": measured(lambda text: distinct(text, 2)),
        "repetition": measured(repetition),
        "alike": {"before": _finite(alike(words[0])), "after": _finite(alike(words[1]))},
        "unit": "shares of words",
        "prompts": len(before.responses),
    }


def change(before: Floats, after: Floats, seed: int) -> dict[str, Any]:
    """Means before and after, and of the differences, over the same prompts."""
    ones, clusters = _units(len(before))
    return {
        "before": bootstrap(before, ones, clusters, seed),
        "after": bootstrap(after, ones, clusters, seed),
        "difference": bootstrap(after - before, ones, clusters, seed),
    }


def write_samples(
    path: Path,
    prompts: Sequence[Example],
    before: Sampled,
    after: Sampled,
    policy: Sequence[Floats],
    reference: Sequence[Floats],
    scores: tuple[Floats, Floats] | None,
) -> None:
    """One line a prompt: both answers, their lengths, log-ratio and, where scored, scores."""
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
    if scores is not None:
        for line, first_score, second_score in zip(lines, *scores, strict=True):
            line |= {"before_score": float(first_score), "after_score": float(second_score)}
    with replace_whole(path) as temporary:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        temporary.write_text(text, "utf-8")


def _prompt_tokens(example: Example) -> Tokens:
    return next(iter(example.sequences.values())).prompt


def _units(count: int) -> tuple[Floats, list[str]]:
    return np.ones(count), [str(number) for number in range(count)]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
