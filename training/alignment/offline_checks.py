"""What an offline run is held to before its first update where no loss is known beforehand."""

import math
from collections.abc import Sequence

import torch

from training.alignment.failures import TrainingError
from training.alignment.offline_run import Run
from training.alignment.scoring import by_role, score_padded, score_sequences

# Largest mean difference that rounding may make: of a completion's log-probability, in nats times
# the root of its tokens, whose errors add up like a random walk; and of a score, times its size.
# SmolLM2 in bfloat16 has up to 0.08 and, of scores between 0.01 and 0.2, 0.005.
_LOG_PROBABILITY = {"float32": 1e-3, "bfloat16": 0.3}
_SCORE = {"float32": 1e-3, "bfloat16": 0.1}
# Below it the rounding of a score does not fall with its size.
_SMALL_SCORE = 0.25


def starts_as_reference(run: Run) -> bool:
    """Whether policy and reference are one model before the first update."""
    config = run.config
    is_base = config.reference_model in (None, config.base_model)
    has_adapter = config.reference_adapter == config.start_adapter
    return bool(run.data.train_reference) and is_base and has_adapter


@torch.no_grad()
def check_plain(run: Run, indices: Sequence[int]) -> None:
    """Training must give some examples the log-probabilities or scores of plain padded batches.

    Where policy and reference start as one model, the first loss is held to its value there. With
    another reference or none there is no such value; nor has a reward model one, for its new head
    is drawn small, not zero. So packed rows in training mode are held to each sequence computed
    whole in evaluation mode. It catches wrong masks, positions and dropout before an hour is spent
    on them.

    All processes must call this. Raises TrainingError.
    """
    examples = [run.data.train[index] for index in indices]
    sequences = by_role(examples, run.objective.loss_roles)
    # The dropout of an adapter is meant, and parts the two where the adapter is not a new one.
    run.module.train(run.config.lora_dropout == 0.0)
    found = score_sequences(run.module, sequences, run.device).double()
    run.module.eval()
    plain = score_padded(run.module, sequences, run.device).double()
    tokens = sum(len(one.completion) for one in sequences)
    sums = [(found - plain).abs().sum(), plain.abs().sum(), plain.new_tensor(tokens)]
    whole = torch.stack([*sums, plain.new_tensor(len(sequences))])
    difference, size, tokens, count = run.accelerator.reduce(whole, reduction="sum").tolist()
    is_reward, dtype = run.objective.trains_rewards, run.config.dtype
    allowed = _LOG_PROBABILITY[dtype] * math.sqrt(tokens / count)
    if is_reward:
        allowed = _SCORE[dtype] * max(_SMALL_SCORE, size / count)
    difference /= count
    if not difference <= allowed:
        values = "scores" if is_reward else "log-probabilities in nats"
        raise TrainingError(
            f"Before the first step the {values} of some completions differ by {difference:.4f} on "
            "average from what a plain pass, padded and without dropout, gives the same tokens; "
            "the model does not compute in training what it computes alone."
        )
