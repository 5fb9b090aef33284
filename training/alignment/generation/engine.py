"""Continuous batching: rows that are finished leave the batch, waiting ones take their places.

A prompt is read once for all its samples. One long answer does not hold up the others, and new
requests may come at any step, which is how the server batches what arrives together.

Notation: n rows in the batch, v vocabulary entries.
"""

import weakref
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import DynamicCache

from training.alignment.generation.cache import Prefix, SlotCache
from training.alignment.generation.choices import Choices
from training.alignment.generation.drawing import Drawn, Uniforms, draw
from training.alignment.log_probs import UnsupportedModelError
from training.alignment.tokenization import Tokens

_PREFILL_TOKENS = 4096
_PADDING = 16
_checked: weakref.WeakSet[nn.Module] = weakref.WeakSet()


@dataclass(frozen=True, eq=False)
class Request:
    """Samples wanted of one prompt, one for each seed.

    `stops` is asked after each token whether the answer is complete. `top_log_probs` likeliest
    tokens are reported at each place.
    """

    prompt: Tokens
    seeds: Sequence[int]
    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    choices: Choices | None = None
    stops: Callable[[Sequence[int]], bool] | None = None
    top_log_probs: int = 0


class Answer(NamedTuple):
    """One sample: tokens with the end token, float32 log-probabilities (see `Drawn`), reason."""

    tokens: Tokens
    log_probs: NDArray[np.float32]
    raw_log_probs: NDArray[np.float32]
    finish_reason: str
    top: Sequence[Sequence[tuple[int, float]]]


class Finished(NamedTuple):
    """A sample that is done: the request's sample of this number."""

    request: Request
    number: int
    answer: Answer


@dataclass
class _Row:
    request: Request
    number: int
    uniforms: Uniforms
    tokens: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    raw_log_probs: list[float] = field(default_factory=list)
    top: list[list[tuple[int, float]]] = field(default_factory=list)


@dataclass
class _Group:
    request: Request
    begun: int = 0
    prefix: Prefix | None = None


class Engine:
    """Samples from a causal language model, at most `rows` answers at a time.

    Raises UnsupportedModelError for a model whose attention cannot be fed row by row (sliding
    windows, recurrent layers) or whose logits are not the projection of its last hidden states.
    """

    def __init__(self, model: Any, ends: Collection[int], *, rows: int) -> None:
        base: Any = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.model = base
        self.ends = frozenset(ends)
        self.limit = rows
        head = base.get_output_embeddings()
        self._head = _float32_head(head) if type(head) is nn.Linear else head
        self._cache = SlotCache(rows)
        self._rows: list[_Row] = []
        self._waiting: deque[_Group] = deque()
        if base not in _checked:
            _check(self)
            _checked.add(base)

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._rows or self._waiting)

    def submit(self, request: Request) -> None:
        """Queue a request; its samples come out of later steps."""
        self._waiting.append(_Group(request))

    def cancel(self, request: Request) -> None:
        """Drop what is left of a request."""
        self._waiting = deque(group for group in self._waiting if group.request is not request)
        for index in reversed(range(len(self._rows))):
            if self._rows[index].request is request:
                self._remove(index)

    def clear(self) -> None:
        """Drop everything, also what a failed step left half done."""
        self._waiting.clear()
        self._rows.clear()
        self._cache = SlotCache(self.limit)

    def run(self, requests: Sequence[Request]) -> list[list[Answer]]:
        """All samples of all requests, in order."""
        found: dict[int, dict[int, Answer]] = {id(request): {} for request in requests}
        for request in requests:
            self.submit(request)
        while self.busy:
            for request, number, answer in self.step():
                found[id(request)][number] = answer
        return [
            [found[id(request)][number] for number in range(len(request.seeds))]
            for request in requests
        ]

    @torch.no_grad()
    def step(self) -> list[Finished]:
        """Fill the free rows, then write one token in every row; what is finished comes back."""
        finished = self._admit()
        if self._rows:
            positions, mask = self._cache.begin_step()
            last = torch.tensor([[row.tokens[-1]] for row in self._rows], device=mask.device)
            hidden = self.model.base_model(
                input_ids=last,
                position_ids=positions,
                attention_mask=mask,
                past_key_values=self._cache,
                use_cache=True,
            ).last_hidden_state[:, -1]
            reasons = self._extend(self._rows, self._logits(hidden))
            for index in reversed(range(len(reasons))):
                reason = reasons[index]
                if reason is not None:
                    finished.append(_finished(self._rows[index], reason))
                    self._remove(index)
        return finished

    def _admit(self) -> list[Finished]:
        finished = []
        while self._waiting and len(self._rows) < self.limit:
            new = self._next_rows(self.limit - len(self._rows))
            logits = torch.stack([prefix.logits for _, prefix in new])
            reasons = self._extend([row for row, _ in new], logits)
            for (row, prefix), reason in zip(new, reasons, strict=True):
                if reason is None:
                    self._cache.admit(prefix)
                    self._rows.append(row)
                else:
                    finished.append(_finished(row, reason))
        return finished

    def _next_rows(self, free: int) -> list[tuple[_Row, Prefix]]:
        """Up to `free` new rows, their prompts read together."""
        chosen: list[tuple[_Group, int]] = []
        tokens = 0
        for group in self._waiting:
            tokens += len(group.request.prompt) if group.prefix is None else 0
            if len(chosen) == free or (chosen and tokens > _PREFILL_TOKENS):
                break
            left = range(group.begun, len(group.request.seeds))[: free - len(chosen)]
            chosen += [(group, number) for number in left]
        unread = list({id(g): g for g, _ in chosen if g.prefix is None}.values())
        if unread:
            prefixes = self._read([group.request.prompt for group in unread])
            for group, prefix in zip(unread, prefixes, strict=True):
                group.prefix = prefix
        for group, number in chosen:
            group.begun = number + 1
        while self._waiting and self._waiting[0].begun == len(self._waiting[0].request.seeds):
            self._waiting.popleft()
        return [
            (_Row(group.request, number, Uniforms(group.request.seeds[number])), group.prefix)
            for group, number in chosen
            if group.prefix is not None
        ]

    def _read(self, prompts: Sequence[Tokens]) -> list[Prefix]:
        """Prefill, prompts of similar length together."""
        found: dict[int, Prefix] = {}
        for places in _alike([len(prompt) for prompt in prompts]):
            prefixes = self._read_together([prompts[place] for place in places])
            found.update(zip(places, prefixes, strict=True))
        return [found[place] for place in range(len(prompts))]

    def _read_together(self, prompts: Sequence[Tokens]) -> list[Prefix]:
        """Padded on the right, for a causal model never looks at what follows."""
        lengths = [len(prompt) for prompt in prompts]
        ids = np.zeros((len(prompts), max(lengths)), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = prompt
        device = self.model.device
        cache: Any = DynamicCache()
        hidden = self.model.base_model(
            input_ids=torch.from_numpy(ids).to(device), past_key_values=cache, use_cache=True
        ).last_hidden_state
        ends = torch.tensor(lengths, device=device) - 1
        logits = self._logits(hidden[torch.arange(len(prompts), device=device), ends])
        return [
            Prefix(
                [layer.keys[row, :, :length] for layer in cache.layers],
                [layer.values[row, :, :length] for layer in cache.layers],
                logits[row],
            )
            for row, length in enumerate(lengths)
        ]

    def _logits(self, hidden: Tensor) -> Tensor:
        """float32 whatever the model computes in, as training scores them: [n, h] to [n, v]."""
        with torch.autocast(hidden.device.type, enabled=False):
            logits: Tensor = self._head(hidden).float()
        return logits

    def _extend(self, rows: Sequence[_Row], logits: Tensor) -> list[str | None]:
        """Draw each row's next token; why it is finished, if it is."""
        drawn = _draw(rows, logits)
        top = _top(rows, logits)
        columns = (drawn.tokens.tolist(), drawn.log_probs.tolist(), drawn.raw_log_probs.tolist())
        reasons = []
        for index, row in enumerate(rows):
            row.tokens.append(columns[0][index])
            row.log_probs.append(columns[1][index])
            row.raw_log_probs.append(columns[2][index])
            row.top.append(top[index])
            reasons.append(self._reason(row))
        return reasons

    def _reason(self, row: _Row) -> str | None:
        request = row.request
        if row.tokens[-1] in self.ends or (request.stops and request.stops(row.tokens)):
            return "stop"
        if request.choices is not None and not request.choices.allowed(row.tokens):
            return "stop"
        return "length" if len(row.tokens) == request.max_new_tokens else None

    def _remove(self, index: int) -> None:
        self._cache.remove(index)
        last = self._rows.pop()
        if index < len(self._rows):
            self._rows[index] = last


def _alike(lengths: Sequence[int]) -> list[list[int]]:
    """Places by length, cut where the shortest would be padded by more than a quarter."""
    parts: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        if parts and lengths[place] <= 1.25 * lengths[parts[-1][0]] + _PADDING:
            parts[-1].append(place)
        else:
            parts.append([place])
    return parts


def _float32_head(head: nn.Linear) -> Callable[[Tensor], Tensor]:
    weight = head.weight.detach().float()
    bias = None if head.bias is None else head.bias.detach().float()
    return lambda hidden: nn.functional.linear(hidden.float(), weight, bias)


def _draw(rows: Sequence[_Row], logits: Tensor) -> Drawn:
    def column(values: list[float], dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=logits.device)

    top_ps = [row.request.top_p for row in rows]
    constrained = any(row.request.choices is not None for row in rows)
    return draw(
        logits,
        column([row.uniforms.next() for row in rows], torch.float64),
        column([row.request.temperature for row in rows]),
        column(top_ps) if min(top_ps) < 1 else None,
        _allowed(rows, logits) if constrained else None,
    )


def _allowed(rows: Sequence[_Row], logits: Tensor) -> Tensor:
    allowed = torch.ones_like(logits, dtype=torch.bool)
    for index, row in enumerate(rows):
        if row.request.choices is not None:
            allowed[index] = False
            allowed[index, list(row.request.choices.allowed(row.tokens))] = True
    return allowed


def _top(rows: Sequence[_Row], logits: Tensor) -> list[list[tuple[int, float]]]:
    """Each row's likeliest tokens by the model's own probabilities."""
    most = max(row.request.top_log_probs for row in rows)
    if most == 0:
        return [[] for _ in rows]
    values, tokens = logits.log_softmax(dim=1).topk(most, dim=1)
    return [
        list(zip(row_tokens[: row.request.top_log_probs], row_values, strict=False))
        for row, row_tokens, row_values in zip(rows, tokens.tolist(), values.tolist(), strict=True)
    ]


def _finished(row: _Row, reason: str) -> Finished:
    answer = Answer(
        np.asarray(row.tokens, dtype=np.int32),
        np.asarray(row.log_probs, dtype=np.float32),
        np.asarray(row.raw_log_probs, dtype=np.float32),
        reason,
        row.top,
    )
    return Finished(row.request, row.number, answer)


@torch.no_grad()
def _check(engine: Engine) -> None:
    """Refuse a model whose next token from the cache is not that of a plain forward pass."""
    model = engine.model
    settings = model.config.get_text_config()
    kinds = set(getattr(settings, "layer_types", None) or {"full_attention"})
    windowed = getattr(settings, "sliding_window", None) and not getattr(
        settings, "layer_types", None
    )
    agrees = False
    if kinds == {"full_attention"} and not windowed:
        # Whatever a model's own code raises when it is fed this way, it cannot be used this way.
        with suppress(AttributeError, IndexError, KeyError, NotImplementedError, TypeError):
            agrees = _cached_agrees(engine)
    if not agrees:
        raise UnsupportedModelError(
            f"{type(model).__name__} cannot be sampled in a running batch: its attention or its "
            "projection is of another kind."
        )


def _cached_agrees(engine: Engine) -> bool:
    model, cache = engine.model, SlotCache(1)
    vocabulary = model.config.get_text_config().vocab_size
    probe = np.arange(1, 10, dtype=np.int32) * 7 % vocabulary
    cache.admit(engine._read([probe[:-1]])[0])
    positions, mask = cache.begin_step()
    last = torch.tensor([[int(probe[-1])]], device=model.device)
    hidden = model.base_model(
        input_ids=last,
        position_ids=positions,
        attention_mask=mask,
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state[:, -1]
    cached = engine._logits(hidden)[0].log_softmax(dim=0)
    ids = torch.from_numpy(probe.astype(np.int64))[None].to(model.device)
    plain = model(input_ids=ids, use_cache=False).logits[0, -1].float().log_softmax(dim=0)
    likeliest = plain.topk(min(10, vocabulary)).indices
    return bool(torch.allclose(cached[likeliest], plain[likeliest], atol=0.1, rtol=0.01))
