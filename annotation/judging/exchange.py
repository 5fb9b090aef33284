"""What goes to a model and what comes back, free of any client."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

REASON, VERDICT, REPAIR = "reason", "verdict", "repair"


@dataclass(frozen=True)
class Chain:
    """One way of asking: the responses in this order, for this sample.

    `shown_order[i]` is the canonical position of the response shown i-th; a protocol that scores
    one response at a time has a chain each, with that position alone.
    """

    shown_order: tuple[int, ...]
    sample: int = 0


@dataclass(frozen=True)
class Request:
    """One call. `schema` and `choices` bind the reply where the model can; it is read either way.

    `stage`: reason, verdict or repair; a protocol that asks a label for each criterion has
    "verdict 2", "repair 2", … for the further ones.
    """

    stage: str
    messages: list[dict[str, Any]]
    max_tokens: int
    temperature: float = 0.0
    seed: int | None = None
    schema: dict[str, Any] | None = None
    choices: tuple[str, ...] | None = None
    # 0: no log-probabilities are asked for.
    top_logprobs: int = 0


@dataclass(frozen=True)
class TokenLogprobs:
    token: str
    logprob: float
    top: Mapping[str, float] = field(default_factory=dict)


# Endpoints give it for what cannot be said; JSON has no infinity.
LEAST_LOGPROB = -9999.0


def storable(text: str) -> str:
    """Without NUL and halves of surrogate pairs, which a model may say and no database keeps."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


@dataclass(frozen=True)
class Reply:
    """What the model said. `tokens` is None when the endpoint gave no log-probabilities."""

    text: str
    finish_reason: str = "stop"
    tokens: tuple[TokenLogprobs, ...] | None = None
    refusal: str = ""

    def to_json(self) -> dict[str, Any]:
        kept: dict[str, Any] = {
            "text": storable(self.text),
            "finish_reason": storable(self.finish_reason),
        }
        # Numbers that are none are left out: what is read again is then missing them too.
        if self.tokens is not None and all(map(_has_numbers, self.tokens)):
            kept["tokens"] = [_kept(one) for one in self.tokens]
        if self.refusal:
            kept["refusal"] = storable(self.refusal)
        return kept

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Reply:
        """Other keys (the model's name, its fingerprint) are left alone."""
        tokens = kept.get("tokens")
        return cls(
            text=kept.get("text", ""),
            finish_reason=kept.get("finish_reason", ""),
            tokens=None
            if tokens is None
            else tuple(TokenLogprobs(token, logprob, top) for token, logprob, top in tokens),
            refusal=kept.get("refusal", ""),
        )


def _has_numbers(one: TokenLogprobs) -> bool:
    return all(logprob < math.inf for logprob in (one.logprob, *one.top.values()))


def _kept(one: TokenLogprobs) -> list[Any]:
    top = {storable(token): max(LEAST_LOGPROB, logprob) for token, logprob in one.top.items()}
    return [storable(one.token), max(LEAST_LOGPROB, one.logprob), top]
