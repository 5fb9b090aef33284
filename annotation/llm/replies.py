"""Reading what came back, without believing any of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from annotation.judging.exchange import Reply, Request, TokenLogprobs
from annotation.judging.tokens import request_tokens

LONGEST_NAME = 150
FILTERED = "The endpoint's content filter held the answer back."


class Malformed(Exception):
    """No answer stands in it; says where it ends."""


class MissingLogprobs(Exception):
    """They were asked for."""


class Usage(NamedTuple):
    prompt: int
    completion: int
    cached: int


def parsed(content: bytes) -> dict[str, Any]:
    """Raises Malformed unless it is a JSON object with an answer in it."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Malformed("The reply is not JSON.") from error
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices:
        raise Malformed("The reply holds no choices.")
    if not all(
        isinstance(choice, dict) and isinstance(choice.get("message"), dict) for choice in choices
    ):
        raise Malformed("The reply's choices hold no messages.")
    return dict(body)


def reply_of(body: Mapping[str, Any], *, wants_logprobs: bool, choice: int = 0) -> Reply:
    """Raises MissingLogprobs when they were asked for and are not all there."""
    found = body["choices"][choice]
    message = found["message"]
    text = _text(message.get("content"))
    finish_reason = str(found.get("finish_reason") or "")[:40]
    refusal = _text(message.get("refusal"))
    if finish_reason == "content_filter" and not refusal:
        refusal = FILTERED
    tokens = _tokens(found.get("logprobs")) if wants_logprobs and not refusal else None
    return Reply(text=text, finish_reason=finish_reason, tokens=tokens, refusal=refusal)


def usage_of(body: Mapping[str, Any], request: Request, reply: Reply) -> Usage:
    """As the endpoint counts; where it does not, the most that it can have been."""
    usage = body.get("usage")
    given = usage if isinstance(usage, dict) else {}
    prompt = _count(given.get("prompt_tokens"))
    completion = _count(given.get("completion_tokens"))
    details = given.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return Usage(
        request_tokens(request) if prompt is None else prompt,
        min(request.max_tokens, len(reply.text.encode("utf-8", "replace")))
        if completion is None
        else completion,
        cached or 0,
    )


def name_of(body: Mapping[str, Any], key: str) -> str:
    """What the endpoint calls its model or its fingerprint."""
    value = body.get(key)
    return value.replace("\0", "")[:LONGEST_NAME] if isinstance(value, str) else ""


def _text(content: Any) -> str:
    # PostgreSQL holds no NUL; some endpoints answer with a list of parts.
    if isinstance(content, str):
        return content.replace("\0", "\ufffd")
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str)).replace("\0", "\ufffd")
    return ""


def _tokens(logprobs: Any) -> tuple[TokenLogprobs, ...]:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list) or not content:
        raise MissingLogprobs("The reply holds no log-probabilities.")
    return tuple(_token(entry) for entry in content)


def _token(entry: Any) -> TokenLogprobs:
    if not isinstance(entry, dict):
        raise MissingLogprobs("The reply's log-probabilities cannot be read.")
    token, logprob = _pair(entry)
    listed = entry.get("top_logprobs")
    if not isinstance(listed, list) or not listed:
        raise MissingLogprobs("The reply names no likeliest tokens beside the one it wrote.")
    top: dict[str, float] = {}
    for one in listed:
        other, value = _pair(one)
        # Two tokens may be spelled alike: the text's probability is the sum of theirs.
        top[other] = _log_add(top[other], value) if other in top else value
    return TokenLogprobs(token, logprob, top)


def _pair(entry: Any) -> tuple[str, float]:
    token = entry.get("token") if isinstance(entry, dict) else None
    logprob = entry.get("logprob") if isinstance(entry, dict) else None
    if not isinstance(token, str) or not isinstance(logprob, int | float):
        raise MissingLogprobs("The reply's log-probabilities cannot be read.")
    # A probability, up to the rounding of half-precision servers.
    if not math.isfinite(logprob) or logprob > 0.01:
        raise MissingLogprobs(f"{logprob!r} in the reply is no log-probability.")
    return token.replace("\0", "\ufffd"), min(0.0, float(logprob))


def _log_add(one: float, other: float) -> float:
    high, low = max(one, other), min(one, other)
    return high + math.log1p(math.exp(low - high))


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        return None
    return value
