"""Sequences in one row without padding, each prompt once for all completions that answer it.

A row holds group after group: a prompt, then each of its completions. A completion's positions go
on where the prompt ends, as if the other completions were not there, and attention
(`training.alignment.attention`) sees to it that nothing else is looked at.

Notation: t tokens of the row, n of them completion tokens, s = number of completions, w the
longest prompt with its completion.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.alignment.tokenization import Tokens, TokenSequence


class Group(NamedTuple):
    """A prompt and the completions that answer it."""

    prompt: Tokens
    completions: Sequence[Tokens]


class Span(NamedTuple):
    """Where a group lies in the row: its first token, the prompt's length, each completion's."""

    start: int
    prompt: int
    completions: tuple[int, ...]


class Packing(NamedTuple):
    """What a model must know of a row beside its tokens.

    Attributes:
        position_ids: [1, t].
        predictors: [n] the place in the row where each completion token is predicted.
        ends: [s] the place of each completion's last token.
        lengths: [s] tokens of each completion.
        unfolded: [s, w] the row as ordinary padded sequences, prompts repeated, as places.
        folded: [t] where each token of the row stands first in `unfolded`, flattened.
        masks: for each completion that shares its prompt, [its tokens, prompt and its tokens] what
            is added to its attention scores: 0, or -inf for what is ahead. On a CPU alone.
        spans: the groups.
    """

    position_ids: Tensor
    predictors: Tensor
    ends: Tensor
    lengths: Tensor
    unfolded: Tensor
    folded: Tensor
    masks: tuple[Tensor, ...]
    spans: tuple[Span, ...]


class PackedBatch(NamedTuple):
    """A row of tokens [1, t], the mask of its completion tokens [1, t], and how it is laid out."""

    input_ids: Tensor
    completion_mask: Tensor
    packing: Packing


def group_sequences(sequences: Sequence[TokenSequence]) -> tuple[list[Group], list[int]]:
    """Every distinct prompt once, every distinct completion of it once.

    Returns the groups, and for each sequence the number of its completion in the order of the
    groups.
    """
    found: dict[bytes, tuple[Tokens, dict[bytes, Tokens]]] = {}
    for sequence in sequences:
        _, completions = found.setdefault(sequence.prompt.tobytes(), (sequence.prompt, {}))
        completions.setdefault(sequence.completion.tobytes(), sequence.completion)
    keys = [(prompt, key) for prompt, (_, completions) in found.items() for key in completions]
    numbers = {pair: number for number, pair in enumerate(keys)}
    groups = [Group(prompt, list(completions.values())) for prompt, completions in found.values()]
    places = [numbers[item.prompt.tobytes(), item.completion.tobytes()] for item in sequences]
    return groups, places


def pack(groups: Sequence[Group], device: torch.device) -> PackedBatch:
    """Lay groups out in one row. Prompts and completions hold at least one token each."""
    spans = _spans(groups)
    pieces = [piece for group in groups for piece in (group.prompt, *group.completions)]
    ids = np.concatenate(pieces).astype(np.int64)
    positions, mask = np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=bool)
    rows, predictors = [], []
    for span in spans:
        prompt = np.arange(span.start, span.start + span.prompt)
        positions[prompt] = np.arange(span.prompt)
        begin = span.start + span.prompt
        for length in span.completions:
            places = np.arange(begin, begin + length)
            positions[places] = np.arange(span.prompt, span.prompt + length)
            mask[places] = True
            rows.append(np.concatenate([prompt, places]))
            predictors.append(rows[-1][span.prompt - 1 : -1])
            begin += length
    unfolded, folded = _unfold(rows, len(ids))
    lengths = [length for span in spans for length in span.completions]
    packing = Packing(
        position_ids=_tensor(positions[None], device),
        predictors=_tensor(np.concatenate(predictors), device),
        ends=_tensor(np.array([row[-1] for row in rows]), device),
        lengths=_tensor(np.array(lengths), device),
        unfolded=_tensor(unfolded, device),
        folded=_tensor(folded, device),
        masks=_masks(spans) if device.type == "cpu" else (),
        spans=spans,
    )
    return PackedBatch(_tensor(ids[None], device), _tensor(mask[None], device), packing)


def pieces_of(span: Span) -> tuple[int, ...]:
    """Tokens that are attended from at once: a lone completion with its prompt, else each part."""
    if len(span.completions) == 1:
        return (span.prompt + span.completions[0],)
    return (span.prompt, *span.completions)


def _masks(spans: Sequence[Span]) -> tuple[Tensor, ...]:
    sizes = [(span.prompt, length) for span in spans for length in pieces_of(span)[1:]]
    return tuple(
        torch.full((length, prompt + length), -torch.inf).triu(prompt + 1)
        for prompt, length in sizes
    )


def _spans(groups: Sequence[Group]) -> tuple[Span, ...]:
    spans, start = [], 0
    for prompt, completions in groups:
        lengths = tuple(len(completion) for completion in completions)
        spans.append(Span(start, len(prompt), lengths))
        start += len(prompt) + sum(lengths)
    return tuple(spans)


def _unfold(
    rows: Sequence[NDArray[np.int64]], tokens: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    width = max(len(row) for row in rows)
    # What stands behind a sequence's end is never looked at: any place will do.
    unfolded = np.zeros((len(rows), width), dtype=np.int64)
    folded = np.zeros(tokens, dtype=np.int64)
    for number in range(len(rows) - 1, -1, -1):
        row = rows[number]
        unfolded[number, : len(row)] = row
        folded[row] = number * width + np.arange(len(row))
    return unfolded, folded


def _tensor(values: NDArray[np.generic], device: torch.device) -> Tensor:
    return torch.from_numpy(values).to(device)
