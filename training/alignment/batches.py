"""Which examples make which step, and how they become tensors.

The order is a pure function of (seed, step): nothing has to be stored to resume, and any number of
processes sees the same global batch. Permutations follow one another without a gap, so that every
batch is full.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.alignment.data import DataError
from training.alignment.tokenization import Example, TokenSequence

LIST_ROLE = "list"  # stands for all completions of a ranked list, in their order


class Batch(NamedTuple):
    """Sequences padded on the right: ids [b, t] and the mask of completion tokens [b, t]."""

    input_ids: Tensor
    completion_mask: Tensor


@dataclass(frozen=True)
class BatchPlan:
    """How examples are dealt to steps, micro-steps and processes."""

    examples: int
    batch_size: int
    accumulation: int
    processes: int
    seed: int

    @property
    def global_batch(self) -> int:
        """Examples per optimiser step over all processes."""
        return self.batch_size * self.accumulation * self.processes

    def total_steps(self, epochs: float, max_steps: int | None) -> int:
        """Full optimiser steps that cover at least `epochs` passes, at most `max_steps`."""
        steps = max(1, math.ceil(epochs * self.examples / self.global_batch))
        return steps if max_steps is None else min(steps, max_steps)

    def passes(self, steps: int) -> float:
        """Passes over the examples in so many steps; each is full, and may begin another pass."""
        return steps * self.global_batch / self.examples

    def step_indices(self, step: int) -> list[int]:
        """The examples of one step, over all processes."""
        start = step * self.global_batch
        return [self._index(position) for position in range(start, start + self.global_batch)]

    def micro_batches(
        self, indices: Sequence[int], lengths: Sequence[int], rank: int
    ) -> list[list[int]]:
        """This process's share of one step, of similar length to waste little on padding.

        The step's gradient is a sum over its examples, so dealing them by length changes nothing.
        """
        ordered = sorted(indices, key=lambda index: (lengths[index], index))
        width = self.batch_size * self.processes
        starts = range(rank * self.batch_size, len(ordered), width)
        return [ordered[start : start + self.batch_size] for start in starts]

    def gathered_places(self, indices: Sequence[int], lengths: Sequence[int]) -> list[int]:
        """For each example of a step, its place when all processes' shares are put end to end."""
        shares = [self.micro_batches(indices, lengths, rank) for rank in range(self.processes)]
        gathered = [index for share in shares for micro in share for index in micro]
        # A step that crosses the end of a pass may hold an example twice: both sorts are stable.
        theirs = sorted(range(len(gathered)), key=gathered.__getitem__)
        ours = sorted(range(len(gathered)), key=indices.__getitem__)
        places = dict(zip(ours, theirs, strict=True))
        return [places[number] for number in range(len(gathered))]

    def _index(self, position: int) -> int:
        epoch, offset = divmod(position, self.examples)
        return int(_permutation(self.seed, epoch, self.examples)[offset])


def passes(tokens: Sequence[int], limit: int | None) -> list[slice]:
    """Consecutive examples whose `tokens` together are at most `limit`, or a single longer one."""
    if limit is None:
        return [slice(0, len(tokens))]
    ends, room = [], 0
    for place, count in enumerate(tokens):
        if count > room:
            ends.append(place)
            room = limit
        room -= count
    return [slice(start, end) for start, end in pairwise([*ends, len(tokens)])]


def tokens_of(examples: Sequence[Example]) -> list[int]:
    """Tokens that each example adds to a packed row, its prompts counted once."""
    return [
        sum({item.prompt.tobytes(): len(item.prompt) for item in each}.values())
        + sum(len(item.completion) for item in each)
        for each in (list(example.sequences.values()) for example in examples)
    ]


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(size)


def collate(sequences: Sequence[TokenSequence], device: torch.device) -> Batch:
    """Pad on the right with zeros, which are never looked at."""
    width = max(len(sequence) for sequence in sequences)
    ids = np.zeros((len(sequences), width), dtype=np.int64)
    mask = np.zeros((len(sequences), width), dtype=bool)
    for row, item in enumerate(sequences):
        start, end = len(item.prompt), len(item)
        ids[row, :start] = item.prompt
        ids[row, start:end] = item.completion
        mask[row, start:end] = True if item.context is None else ~item.context
    return Batch(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))


def sequences_of(example: Example, role: str) -> list[TokenSequence]:
    """The sequences that a role stands for: one, or of the role `list` all in their order."""
    if role != LIST_ROLE:
        return [example.sequences[role]]
    return [example.sequences[f"completion_{number}"] for number in range(len(example.sequences))]


def padded_lists(values: Tensor, counts: Sequence[int]) -> Tensor:
    """Lists of `counts` entries one after the other, [n], as [b, k] padded with zeros."""
    rows = list(torch.split(values, list(counts)))
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def list_ranks(examples: Sequence[Example], device: torch.device) -> Tensor:
    """The ranks of lists, 1 for the best and none left out, padded with zeros: [b, k]."""
    ranks = [_dense(example.ranks or ()) for example in examples]
    flat = torch.tensor([rank for row in ranks for rank in row], device=device)
    return padded_lists(flat, [len(row) for row in ranks])


def _dense(ranks: Sequence[int]) -> list[int]:
    order = sorted(set(ranks))
    return [order.index(rank) + 1 for rank in ranks]


def with_mismatched(examples: Sequence[Example], *, seed: int, max_length: int) -> list[Example]:
    """Give each example, under the role `mismatched`, a completion that answers another prompt.

    The partner is drawn once from all examples: independent of batches, so that its reference
    log-probability can be cached and the estimate does not depend on how a step is split.

    Raises DataError when all examples share one prompt.
    """
    order = np.random.default_rng([seed, 1]).permutation(len(examples))
    matched = []
    for position, index in enumerate(order):
        example = examples[index]
        partner = _other_prompt(example, examples, order, position)
        room = max_length - len(example.sequences["completion"].prompt)
        answer = partner.sequences["completion"]
        mismatched = TokenSequence(
            example.sequences["completion"].prompt,
            answer.completion[:room],
            None if answer.context is None else answer.context[:room],
        )
        roles = {**example.sequences, "mismatched": mismatched}
        matched.append((int(index), replace(example, sequences=roles)))
    return [example for _, example in sorted(matched, key=lambda pair: pair[0])]


def with_text(examples: Sequence[Example]) -> list[Example]:
    """Give each pair, under the role `text`, its prompt and chosen answer, all to be predicted.

    The first token, which nothing predicts, is the prompt of the rest. What others said between
    two turns of the answer is predicted like the prompt.
    """
    found = []
    for example in examples:
        chosen = example.sequences["chosen"]
        rest = np.concatenate([chosen.prompt[1:], chosen.completion])
        text = TokenSequence(chosen.prompt[:1], rest)
        found.append(replace(example, sequences={**example.sequences, "text": text}))
    return found


def _other_prompt(
    example: Example, examples: Sequence[Example], order: NDArray[np.int64], position: int
) -> Example:
    for distance in range(1, len(order)):
        partner = examples[int(order[(position + distance) % len(order)])]
        if partner.prompt_key != example.prompt_key:
            return partner
    raise DataError("this method needs answers to at least two different prompts")
