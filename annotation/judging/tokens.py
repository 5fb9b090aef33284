"""How many tokens a call may take at most, and what tokens cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any, Protocol

from annotation.judging.exchange import Request

# The role, its markers and the line ends that chat templates write round a message.
OVERHEAD_PER_MESSAGE = 16
# The start of the text, the generation prompt, a system message that a template adds by itself.
OVERHEAD_PER_CALL = 64

_CENTS = Decimal("0.00000001")
_MILLION = Decimal(1_000_000)


class Rates(Protocol):
    """Dollars for a million tokens; a Price row is one."""

    @property
    def input_per_million(self) -> Decimal: ...
    @property
    def output_per_million(self) -> Decimal: ...


def estimate_tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    """An upper bound on the input tokens: the UTF-8 bytes of the texts, and the template's own.

    Byte-level BPE (GPT, Llama 3, Qwen, SmolLM) and SentencePiece with byte fallback (Llama 2,
    Mistral, Gemma) give every token one byte at least, so a text has never more tokens than bytes.
    English has about four bytes a token: the bound is that much too high, which a reservation
    that is given back may be. A tokenizer that expands characters first (NFKC turns one ligature
    into many letters) could pass it; none of the chat models above does.
    """
    texts = sum(len(_text(message).encode()) for message in messages)
    return texts + OVERHEAD_PER_MESSAGE * len(messages) + OVERHEAD_PER_CALL


def request_tokens(request: Request) -> int:
    """Of a whole request: some endpoints write the schema and the choices into the prompt."""
    extra = [value for value in (request.schema, request.choices) if value]
    return estimate_tokens(request.messages) + sum(len(json.dumps(value)) for value in extra)


def likely_tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    """What English mostly takes, four bytes a token: for an estimate before the start only."""
    return estimate_tokens(messages) // 4 + 1


def cost(input_tokens: int, output_tokens: int, price: Rates | None) -> Decimal:
    """In dollars, rounded up to what a row can hold; 0 where no price is known."""
    if price is None:
        return Decimal(0)
    dollars = (
        input_tokens * price.input_per_million + output_tokens * price.output_per_million
    ) / _MILLION
    return dollars.quantize(_CENTS, rounding=ROUND_CEILING)


def _text(message: Mapping[str, Any]) -> str:
    return str(message.get("content") or "") + str(message.get("role") or "")
