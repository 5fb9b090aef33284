"""What one step's updates learn from: answers with all that was measured on them.

Notation: b answers of a step, prompt after prompt, `per_prompt` to each; t tokens of the longest.
Tensors [b, t] are padded on the right with zeros.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.alignment.packing import Group
from training.alignment.rollouts.protocol import Rollout
from training.alignment.scoring import score_tokens
from training.alignment.tokenization import TokenSequence

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Answer:
    """One sampled answer with its log-probabilities [t], its values [t] and its rewards by source.

    `place` is its position in the step, whatever process sampled it.
    """

    place: int
    rollout: Rollout
    old_logps: Floats
    reference_logps: Floats
    old_values: Floats | None
    reward: float
    rewards: Mapping[str, float]

    @property
    def ended(self) -> bool:
        """Whether the model ended it, rather than the limit of tokens."""
        return self.rollout.ended


@dataclass(frozen=True)
class Experience:
    """A step's answers as tensors: [b, t], and `scores` [b]."""

    answers: tuple[Answer, ...]
    mask: Tensor
    sampler_logps: Tensor
    old_logps: Tensor
    reference_logps: Tensor
    old_values: Tensor | None
    scores: Tensor
    ended: Tensor

    @classmethod
    def of(cls, answers: Sequence[Answer], device: torch.device) -> "Experience":
        """In the order of their places."""
        ordered = tuple(sorted(answers, key=lambda answer: answer.place))
        lengths = [len(answer.rollout.completion) for answer in ordered]

        def padded(rows: Sequence[NDArray[Any]]) -> Tensor:
            return pad([torch.from_numpy(np.asarray(row, np.float32)) for row in rows]).to(device)

        values = [item.old_values for item in ordered if item.old_values is not None]
        return cls(
            answers=ordered,
            mask=token_mask(lengths).to(device),
            sampler_logps=padded([answer.rollout.log_probs for answer in ordered]),
            old_logps=padded([answer.old_logps for answer in ordered]),
            reference_logps=padded([answer.reference_logps for answer in ordered]),
            old_values=padded(values) if values else None,
            scores=torch.tensor([answer.reward for answer in ordered], device=device),
            ended=torch.tensor([answer.ended for answer in ordered], device=device),
        )


def token_mask(lengths: Sequence[int]) -> Tensor:
    """True at real tokens: [b, t] for b lengths of which t is the largest."""
    counts = torch.tensor(list(lengths))
    return torch.arange(int(counts.max()))[None, :] < counts[:, None]


def pad(rows: Sequence[Tensor]) -> Tensor:
    """Rows of different length as one tensor, zeros behind: [b, t]."""
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True)


def groups_of(rollouts: Sequence[Rollout]) -> list[Group]:
    """Neighbouring answers to one prompt share it."""
    together = groupby(rollouts, key=lambda rollout: rollout.prompt.tobytes())
    parts = [list(items) for _, items in together]
    return [Group(items[0].prompt, [item.completion for item in items]) for items in parts]


def token_scores(
    scorer: nn.Module, rollouts: Sequence[Rollout], device: torch.device, **settings: bool
) -> Tensor:
    """One number for each completion token, zeros behind: [b, t], with gradient.

    `settings` go to the scorer's forward; with `entropies` there are two numbers, [b, t, 2].
    """
    parts = score_tokens(scorer, groups_of(rollouts), device, **settings)
    return pad([tokens for group in parts for tokens in group])


def text_scores(
    scorer: nn.Module, sequences: Sequence[TokenSequence], device: torch.device
) -> Tensor:
    """The same for given texts of different prompts, at temperature 1: [b, t], with gradient."""
    groups = [Group(item.prompt, [item.completion]) for item in sequences]
    return pad([group[0] for group in score_tokens(scorer, groups, device, temperature=1.0)])


def trained_mask(sequences: Sequence[TokenSequence]) -> Tensor:
    """True at the completions' tokens that the model is trained on: [b, t]."""
    mask = token_mask([len(item.completion) for item in sequences])
    for row, item in zip(mask, sequences, strict=True):
        if item.context is not None:
            row[: len(item.context)] &= torch.from_numpy(~item.context)
    return mask


@torch.no_grad()
def token_scores_of_all(
    scorer: nn.Module, rollouts: Sequence[Rollout], device: torch.device, *, batch_size: int
) -> list[Floats]:
    """The same without gradient, micro-batch by micro-batch, as arrays without padding."""
    scorer.eval()
    found = []
    for start in range(0, len(rollouts), batch_size):
        chosen = rollouts[start : start + batch_size]
        rows = token_scores(scorer, chosen, device).cpu().numpy()
        found += [row[: len(item.completion)] for row, item in zip(rows, chosen, strict=True)]
    return found
