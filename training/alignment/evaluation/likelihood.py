"""What training did to the log-probabilities of given answers, by yardsticks of no method's own."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from training.alignment import metrics
from training.alignment.batches import LIST_ROLE
from training.alignment.estimates import Estimate, bootstrap, bootstrap_margin, bootstrap_share
from training.alignment.methods import get_method, parse_hyperparameters
from training.alignment.objective import LogProbs, Objective, Statistic
from training.alignment.tokenization import Example, TokenSequence

PAIR_ROLES = ("chosen", "rejected")
# Gradients that lower the rejected answer lower what resembles it, and chosen answers do.
FELL = 1e-3


def preferences(
    after: LogProbs, before: LogProbs, pairs: Sequence[Example], seed: int
) -> dict[str, Any]:
    """How a policy has moved on held-out pairs by its log-ratios, alike for every method.

    `accuracy` is the share of pairs whose chosen answer gained more over the reference than the
    rejected one, equal gains counting half: the reference itself has 0.5. `log_ratio_margin` is by
    how many nats it gained more. Pairs that tie are left out.
    """
    decided = [place for place, pair in enumerate(pairs) if pair.target != 0.5]
    if not decided:
        return {}
    pairs = [pairs[place] for place in decided]
    policy, reference = (
        {role: side[role][decided] for role in PAIR_ROLES} for side in (after, before)
    )
    dpo = get_method("dpo")
    yardstick = Objective(dpo, asdict(parse_hyperparameters(dpo, {})), soft_labels=False)
    output = yardstick.loss(policy, reference, pairs, Statistic())
    rows = metrics.records(output, policy, reference, pairs).double()
    columns = {name: rows[:, place].numpy() for place, name in enumerate(metrics.COLUMNS)}
    chosen, rejected = columns["log_ratio_chosen"], columns["log_ratio_rejected"]
    weights, clusters = columns["weight"], [pair.prompt_key for pair in pairs]
    return {
        "pairs": len(pairs),
        "prompts": len(set(clusters)),
        "accuracy": bootstrap_share(metrics.correctness(rows).numpy(), weights, clusters, seed),
        "log_ratio_margin": bootstrap_margin(chosen, rejected, weights, clusters, seed),
        "movement": movement(policy, reference, pairs, seed),
        "perplexity": perplexity(policy, reference, pairs, seed),
    }


def movement(
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
            "fell": bootstrap_share(fell, weights, clusters, seed),
        }
    return {**found, "unit": "nats per answer"} if found else {}


def perplexity(
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
