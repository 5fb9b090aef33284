"""Which tokens of an answer the policy came to value: an analysis, not a loss.

    python -m training.alignment.credit --config run.json --output credit.jsonl

One line is written for each pair of the held-out data: its "id", "beta", and of chosen and rejected
each "tokens" as text, the "credit" of each in nats times beta (null where somebody else wrote the
token), and their sum, the "reward".
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.alignment.config import TrainingConfig
from training.alignment.methods import get_method, parse_hyperparameters
from training.alignment.options import OptionError

LIMIT = 100


def token_credit(
    policy_token_logps: Tensor, reference_token_logps: Tensor, *, beta: float
) -> Tensor:
    """DPO's reward of each token (Rafailov et al. 2024, From r to Q*, arXiv 2404.12358, eq. 14).

        credit_t = beta * (log policy(y_t | x, y_<t) - log reference(y_t | x, y_<t))

    In the token-level view a DPO policy is an optimal Q-function, and these are its advantages.
    They sum to the answer's implicit reward.

    Args:
        policy_token_logps, reference_token_logps: one shape, […, t], in nats.
        beta: that of the training, > 0.

    Returns:
        […, t], detached.

    Raises:
        ValueError: when the shapes differ.
    """
    if policy_token_logps.shape != reference_token_logps.shape:
        raise ValueError(
            f"policy_token_logps {list(policy_token_logps.shape)} and reference_token_logps "
            f"{list(reference_token_logps.shape)} must have one shape"
        )
    return (beta * (policy_token_logps - reference_token_logps)).detach()


def credit_of_pairs(
    config: TrainingConfig, policy: Path, data: Path, *, beta: float | None, limit: int
) -> Iterator[dict[str, Any]]:
    """What the command writes, of the first `limit` pairs of `data` under `policy`.

    The reference is that of the run, whose beta is taken when none is given. Raises OptionError for
    a run of no policy or no beta or a policy of another vocabulary, DataError and ModelError.
    """
    from training.alignment.models import load_tokenizer, resolve_device
    from training.alignment.objective import Objective
    from training.alignment.run_data import load_examples
    from training.alignment.vocabularies import check_reference

    beta = _beta(config, beta)
    # Whatever the run learnt from: here the data are pairs.
    pairs = replace(config, method="dpo", hyperparameters={"beta": beta}, soft_labels=False)
    tokenizer, device = load_tokenizer(policy), resolve_device(config.device)
    check_reference(config, tokenizer, policy)
    examples, _ = load_examples(pairs, Objective.from_config(pairs), tokenizer, str(data))
    chosen = examples[:limit]
    # No more than one model is in memory at any time.
    after = _token_logps(pairs, str(policy), None, chosen, device)
    before = _token_logps(pairs, config.reference, config.reference_adapter, chosen, device)
    for example, mine, others in zip(chosen, after, before, strict=True):
        sides = zip(example.sequences.items(), mine, others, strict=True)
        yield {"id": example.id, "beta": beta} | {
            role: _side(sequence, token_credit(one, other, beta=beta), tokenizer)
            for (role, sequence), one, other in sides
        }


def _side(sequence: Any, credit: Tensor, tokenizer: Any) -> dict[str, Any]:
    """One answer's tokens as text, the credit of each that the model wrote, and their sum."""
    own = np.ones(len(credit), bool) if sequence.context is None else ~sequence.context
    values = [part if is_own else None for part, is_own in zip(credit.tolist(), own, strict=True)]
    return {
        "tokens": [tokenizer.decode([token]) for token in sequence.completion.tolist()],
        "credit": values,
        "reward": sum(part for part in values if part is not None),
    }


@torch.no_grad()
def _token_logps(
    config: TrainingConfig,
    folder: str,
    adapter: str | None,
    examples: Sequence[Any],
    device: torch.device,
) -> list[list[Tensor]]:
    """Log-probabilities [t] of the tokens of each completion of each example."""
    from training.alignment.packing import Group
    from training.alignment.policies import load_scorer
    from training.alignment.scoring import score_tokens

    scorer = load_scorer(config, folder, device, adapter, dtype=torch.float32)
    found = []
    for example in examples:
        sequences = list(example.sequences.values())
        group = Group(sequences[0].prompt, [sequence.completion for sequence in sequences])
        found += [[part.cpu() for part in parts] for parts in score_tokens(scorer, [group], device)]
    return found


def _beta(config: TrainingConfig, given: float | None) -> float:
    method = get_method(config.method)
    if method.trains == "reward":
        raise OptionError("method", f"{method.title} trains no policy, whose tokens had a credit")
    if given is not None:
        return given
    values = asdict(parse_hyperparameters(method, config.hyperparameters))
    if not method.needs_reference or "beta" not in values:
        raise OptionError(
            "beta", f"{method.title} has none that is about a reference; name one with --beta"
        )
    if values.get("normalisation") == "averaged":
        raise OptionError("beta", "this run's is of means a token; name one with --beta")
    return float(values["beta"])


def main(words: Sequence[str] | None = None) -> int:
    """Parse and write; returns the exit code."""
    from training.alignment.failures import reason
    from training.alignment.files import replace_whole

    arguments = _parser().parse_args(words)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        config = TrainingConfig.load(arguments.config)
        data = arguments.data or config.held_out_file
        if data is None:
            raise OptionError("data", "the run has no held-out side; name a file with --data")
        policy = arguments.policy or Path(config.output_dir) / "model"
        lines = credit_of_pairs(
            config, policy, Path(data), beta=arguments.beta, limit=arguments.limit
        )
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        with replace_whole(arguments.output) as temporary:
            temporary.write_text(text, "utf-8")
    except Exception as error:  # noqa: BLE001  # the process boundary: the reader gets one sentence
        print(reason(error), file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.alignment.credit",
        description="Write what each token of given pairs contributes to the implicit reward of a "
        "policy against the reference of its run: beta times the log-ratio of its probabilities.",
    )
    parser.add_argument("--config", type=Path, required=True, help="the run.json of the run")
    parser.add_argument("--output", type=Path, required=True, help="JSONL file to write")
    parser.add_argument("--policy", type=Path, help="model folder; the run's own when left out")
    parser.add_argument("--data", type=Path, help="file of pairs; the held-out side when left out")
    parser.add_argument("--beta", type=float, help="the run's own when left out")
    parser.add_argument("--limit", type=int, default=LIMIT, help=f"most pairs ({LIMIT})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
