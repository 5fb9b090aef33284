"""From the engine's answers to bodies in OpenAI's shape.

Log-probabilities are the model's own (`raw_logprobs`, whatever the temperature and constraints) or
those that were sampled with (`processed_logprobs`); likeliest tokens are always the model's own.
The end token has its entry.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.alignment.generation import Answer
from training.alignment.generation.responses import decode
from training.alignment.serve.wanted import Served, Wanted

# JSON has no infinity; OpenAI's own stand-in for what cannot be sampled.
_NEVER = -9999.0


def chat_reply(wanted: Wanted, groups: Sequence[Sequence[Answer]], served: Served) -> Any:
    """A chat.completion."""
    choices = []
    for index, answer in enumerate(groups[0]):
        text, kept = _text(answer, wanted.stop, served.tokenizer)
        choice = {
            "index": index,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "finish_reason": answer.finish_reason,
            "logprobs": _chat_log_probs(answer, kept, wanted, served.tokenizer),
        }
        choices.append(choice | _token_ids(answer, wanted))
    return _reply("chat.completion", "chatcmpl", choices, wanted, groups, served)


def completion_reply(wanted: Wanted, groups: Sequence[Sequence[Answer]], served: Served) -> Any:
    """A text_completion; the choices of the first prompt come first."""
    choices: list[dict[str, Any]] = []
    for answer in (answer for group in groups for answer in group):
        text, kept = _text(answer, wanted.stop, served.tokenizer)
        choice = {
            "index": len(choices),
            "text": text,
            "finish_reason": answer.finish_reason,
            "logprobs": _legacy_log_probs(answer, kept, wanted, served.tokenizer),
        }
        choices.append(choice | _token_ids(answer, wanted))
    return _reply("text_completion", "cmpl", choices, wanted, groups, served)


def _reply(
    kind: str,
    prefix: str,
    choices: Sequence[Mapping[str, Any]],
    wanted: Wanted,
    groups: Sequence[Sequence[Answer]],
    served: Served,
) -> dict[str, Any]:
    read = sum(len(request.prompt) for request in wanted.requests)
    written = sum(len(answer.tokens) for group in groups for answer in group)
    return {
        "id": f"{prefix}-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": served.name,
        "system_fingerprint": served.fingerprint,
        "choices": choices,
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        },
    }


def _text(answer: Answer, stop: Sequence[str], tokenizer: Any) -> tuple[str, int]:
    """The text up to the first stop, and how many tokens have a part in it."""
    text = decode(answer.tokens, tokenizer)
    places = [place for place in (text.find(item) for item in stop) if place >= 0]
    if not places:
        return text, len(answer.tokens)
    end, kept = min(places), 0
    while len(decode(answer.tokens[:kept], tokenizer)) < end:
        kept += 1
    return text[:end], kept


def _token_ids(answer: Answer, wanted: Wanted) -> dict[str, Any]:
    return {"token_ids": answer.tokens.tolist()} if wanted.token_ids else {}


def _chat_log_probs(answer: Answer, kept: int, wanted: Wanted, tokenizer: Any) -> Any:
    if not wanted.log_probs:
        return None
    values = _values(answer, wanted)
    content = [
        _entry(int(answer.tokens[place]), values[place], tokenizer)
        | {"top_logprobs": [_entry(*pair, tokenizer) for pair in answer.top[place]]}
        for place in range(kept)
    ]
    return {"content": content, "refusal": None}


def _legacy_log_probs(answer: Answer, kept: int, wanted: Wanted, tokenizer: Any) -> Any:
    if not wanted.log_probs:
        return None
    # With its token ids asked for, an answer is reported whole: they belong together.
    kept = len(answer.tokens) if wanted.token_ids else kept
    tokens = [token_text(int(token), tokenizer) for token in answer.tokens[:kept]]
    starts = np.cumsum([0, *(len(token) for token in tokens)])[:-1]
    top = [
        {token_text(token, tokenizer): _finite(value) for token, value in pairs}
        for pairs in answer.top[:kept]
    ]
    return {
        "tokens": tokens,
        "token_logprobs": [_finite(value) for value in _values(answer, wanted)[:kept]],
        "top_logprobs": top if any(top) else None,
        "text_offset": starts.tolist(),
    }


def _values(answer: Answer, wanted: Wanted) -> list[float]:
    values: list[float] = (answer.log_probs if wanted.processed else answer.raw_log_probs).tolist()
    return values


def _entry(token: int, value: float, tokenizer: Any) -> dict[str, Any]:
    text = token_text(token, tokenizer)
    # A token may be a part of a character; its bytes are then not those of its text.
    known = "�" not in text
    data = list(text.encode()) if known else None
    return {"token": text, "logprob": _finite(value), "bytes": data}


def token_text(token: int, tokenizer: Any) -> str:
    """The text of one token, special ones by their name."""
    return str(tokenizer.decode([token]))


def _finite(value: float) -> float:
    return max(float(value), _NEVER)
