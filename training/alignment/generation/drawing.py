"""Drawing one token a row from its logits, and the log-probability that it was drawn with."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Drawn(NamedTuple):
    """Tokens, their log-probabilities as drawn and the model's own, each [n].

    `log_probs` belong to the distribution that was sampled from: tempered, cut and constrained.
    `raw_log_probs` are log softmax(logits), whatever was done to draw.
    """

    tokens: Tensor
    log_probs: Tensor
    raw_log_probs: Tensor


class Uniforms:
    """A row's own stream of numbers in [0, 1): sample k depends on its seed only.

    The stream comes from numpy, so that it is the same on every device.
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(seed))

    def next(self) -> float:
        return float(self._generator.random())


def draw(
    logits: Tensor,
    uniforms: Tensor,
    temperatures: Tensor,
    top_ps: Tensor | None = None,
    allowed: Tensor | None = None,
) -> Drawn:
    """One token a row by inversion: the first whose cumulative probability exceeds u.

    Args:
        logits: [n, v] float32.
        uniforms: [n] float64 in [0, 1).
        temperatures: [n]; 0 takes the most likely token, whose log-probability is then that at
            temperature 1.
        top_ps: [n]; each row keeps its likeliest tokens up to this share of probability (Holtzman
            et al., 2020). None keeps all.
        allowed: [n, v] bool; a row draws among its allowed tokens only. None allows all.
    """
    # Near zero, float32 is fine; near the usual logits, log-probabilities would lose digits.
    logits = logits - logits.amax(dim=1, keepdim=True)
    greedy = temperatures == 0
    scaled = logits / torch.where(greedy, torch.ones_like(temperatures), temperatures)[:, None]
    if allowed is not None:
        scaled = scaled.masked_fill(~allowed, -torch.inf)
    if top_ps is not None:
        scaled = _nucleus(scaled, top_ps)
    normaliser = scaled.logsumexp(dim=1)
    # In float32 a running sum over a large vocabulary would lose the unlikely tokens.
    cumulative = (scaled - normaliser[:, None]).exp_().cumsum(dim=1, dtype=torch.float64)
    target = uniforms * cumulative[:, -1]
    tokens = torch.searchsorted(cumulative, target[:, None], right=True)[:, 0]
    tokens.clamp_(max=logits.shape[1] - 1)
    if bool(greedy.any()):
        tokens = torch.where(greedy, scaled.argmax(dim=1), tokens)
    chosen = scaled.gather(1, tokens[:, None])[:, 0] - normaliser
    raw = logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(dim=1)
    return Drawn(tokens, chosen, raw)


def _nucleus(scaled: Tensor, top_ps: Tensor) -> Tensor:
    """Keep the smallest set of likeliest tokens whose probability reaches top_p."""
    ordered, order = scaled.sort(dim=1, descending=True)
    shares = ordered.softmax(dim=1)
    before = shares.cumsum(dim=1) - shares
    dropped = before >= top_ps[:, None].to(before)
    dropped[:, 0] = False
    # The whole distribution is asked for: rounding must not cut its tail.
    dropped &= (top_ps < 1)[:, None]
    return scaled.masked_fill(torch.zeros_like(dropped).scatter(1, order, dropped), -torch.inf)
