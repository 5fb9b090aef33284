"""Keys and values of the rows that are being written, one slot a row."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import Cache

_GROWTH = 128


class Prefix(NamedTuple):
    """A prompt that the model has read: each layer's keys and values [h, t, d], next logits [v]."""

    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    logits: Tensor

    @property
    def length(self) -> int:
        return int(self.keys[0].shape[1])


class SlotCache(Cache):
    """A cache whose rows have lengths of their own, begin and end on their own.

    Each layer holds [slots, h, capacity, d]. A row's token p stands at place p, whatever shares the
    batch, and the mask [slots, 1, 1, capacity] shows each row its own tokens. Rows 0 to n - 1 are
    in use. Nothing is concatenated: a step writes one place a row.
    """

    def __init__(self, slots: int) -> None:
        super().__init__(layers=[])
        self.slots = slots
        self.capacity = 0
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.lengths: list[int] = []

    def admit(self, prefix: Prefix) -> None:
        """Give a new last row a prompt's keys and values."""
        row, length = len(self.lengths), prefix.length
        self._reserve(length + 1, like=prefix)
        for store, new in ((self.keys, prefix.keys), (self.values, prefix.values)):
            for layer, tensor in enumerate(new):
                store[layer][row, :, :length] = tensor
        self.mask[row, ..., :length] = 0.0
        self.mask[row, ..., length:] = self.hidden
        self.lengths.append(length)

    def remove(self, row: int) -> None:
        """Free a row; the last one takes its place."""
        last = len(self.lengths) - 1
        length = self.lengths.pop()
        if row != last:
            for tensor in (*self.keys, *self.values):
                tensor[row, :, :length] = tensor[last, :, :length]
            self.mask[row] = self.mask[last]
            self.lengths[row] = length

    def begin_step(self) -> tuple[Tensor, Tensor]:
        """Make room for one token a row: its positions [n, 1] and the mask [n, 1, 1, width]."""
        rows, width = len(self.lengths), max(self.lengths) + 1
        self._reserve(width)
        self.rows = torch.arange(rows, device=self.mask.device)
        self.positions = torch.tensor(self.lengths, device=self.mask.device)
        self.mask[self.rows, 0, 0, self.positions] = 0.0
        self.width = width
        self.lengths = [length + 1 for length in self.lengths]
        return self.positions[:, None], self.mask[:rows, :, :, :width]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Write one token's keys and values of a layer and return all that its rows see."""
        keys, values, rows = self.keys[layer_idx], self.values[layer_idx], len(self.rows)
        # Autocast may give a token's keys and values another precision than the prompt's.
        keys[self.rows, :, self.positions] = key_states[:, :, 0].to(keys.dtype)
        values[self.rows, :, self.positions] = value_states[:, :, 0].to(values.dtype)
        return keys[:rows, :, : self.width], values[:rows, :, : self.width]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return max(self.lengths, default=1) - 1

    def _reserve(self, width: int, like: Prefix | None = None) -> None:
        """Capacity for `width` tokens a row. Places that were never written must hold numbers."""
        if width <= self.capacity:
            return
        capacity = -(-max(width, self.capacity * 3 // 2) // _GROWTH) * _GROWTH
        if not self.keys and like is not None:
            first = like.keys[0]
            self.hidden = torch.finfo(first.dtype).min
            self.mask = first.new_empty(0)
            self.keys = [key.new_empty(self.slots, len(key), 0, key.shape[2]) for key in like.keys]
            self.values = [
                value.new_empty(self.slots, len(value), 0, value.shape[2]) for value in like.values
            ]
        mask = self.mask.new_full((self.slots, 1, 1, capacity), self.hidden)
        if len(self.mask):
            mask[..., : self.mask.shape[-1]] = self.mask
        keys = [_wider(tensor, capacity) for tensor in self.keys]
        values = [_wider(tensor, capacity) for tensor in self.values]
        # Only now: where memory ran out above, the cache is as it was.
        self.capacity, self.mask, self.keys, self.values = capacity, mask, keys, values


def _wider(tensor: Tensor, capacity: int) -> Tensor:
    slots, heads, filled, features = tensor.shape
    wider = tensor.new_zeros(slots, heads, capacity, features)
    wider[:, :, :filled] = tensor
    return wider
