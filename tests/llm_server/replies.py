"""Chat completions as OpenAI's servers send them, with log-probabilities and usage."""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from tests.llm_server import labels
from tests.llm_server.judging import EVEN, answers_in, prompt_text, scores_of
from tests.llm_server.script import Script, fraction

TOKEN = re.compile(r" ?[A-Za-z]+| ?\d+|\s+|[^\sA-Za-z\d]")
# How sure it is of a verdict: P = 1 / (1 + exp(-SURENESS (score - other score))).
SURENESS = 6.0
FILLERS = ("\n", " the", "I", " is", ".", " of", "The", " to", ",", " and", "It", " in", "-", "!",
           "?", " that", ":", " a", ";", "(")  # fmt: skip


def chat_reply(
    body: Mapping[str, Any], script: Script, question: str, fault: str
) -> dict[str, Any]:
    """The chat.completion that answers `body`; `fault` may spoil its content."""
    text = prompt_text(body["messages"])
    scores = scores_of(answers_in(text), script, question)
    count = 1 if "n" in script.ignored else int(body.get("n") or 1)
    choices = [_choice(body, script, text, scores, index, fault) for index in range(count)]
    written = sum(choice.pop("tokens") for choice in choices)
    read = max(1, len(text) // 4)
    return {
        "id": f"chatcmpl-{question[:12]}",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "system_fingerprint": "fp_scripted",
        "choices": choices,
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


def _choice(
    body: Mapping[str, Any],
    script: Script,
    text: str,
    scores: Sequence[float],
    index: int,
    fault: str,
) -> dict[str, Any]:
    drawn = _drawn(body, script, scores, index)
    content = _content(body, script, text, drawn, fault)
    if not scores and body.get("temperature") and content == labels.REASON:
        # Free text differs from sample to sample as well.
        content += f" {_draw(body, script, index):.9f}"
    tokens = TOKEN.findall(content)
    longest = body.get("max_completion_tokens") or body.get("max_tokens") or 4096
    longest = min(longest, 3) if fault == "cut" else longest
    refused = fault == "refusal"
    kept = [] if refused else tokens[:longest]
    has_log_probs = body.get("logprobs") and "logprobs" not in script.ignored
    return {
        "index": index,
        "message": {
            "role": "assistant",
            "content": None if refused else "".join(kept),
            "refusal": "I cannot help with that." if refused else None,
        },
        "finish_reason": "length" if len(tokens) > len(kept) and not refused else "stop",
        "logprobs": _log_probs(kept, body, scores)
        if has_log_probs and fault != "no_logprobs"
        else None,
        "tokens": len(kept),
    }


def _drawn(
    body: Mapping[str, Any], script: Script, scores: Sequence[float], index: int
) -> Sequence[float]:
    """The scores as this sample sees them: at a temperature, the worse of two may come first."""
    if not body.get("temperature") or len(scores) != 2:
        return scores
    ahead = 1 / (1 + math.exp(-SURENESS * (scores[0] - scores[1])))
    return (1.0, 0.5) if _draw(body, script, index) < ahead else (0.5, 1.0)


def _draw(body: Mapping[str, Any], script: Script, index: int) -> float:
    """Of this sample; without a seed, or where it is ignored, another one each time."""
    seed = None if "seed" in script.ignored else body.get("seed")
    seed = secrets.token_hex(8) if seed is None else seed
    return fraction(script.seed, "sample", seed, index, prompt_text(body["messages"]))


def _content(
    body: Mapping[str, Any], script: Script, text: str, scores: Sequence[float], fault: str
) -> str:
    schema = _schema(body, script)
    if fault == "wrong_schema":
        return labels.unlike(schema)
    reason = labels.INJECTED if fault == "injected" else labels.REASON
    if schema is not None:
        return json.dumps(labels.fill(schema, scores, reason))
    if "choices" not in script.ignored and (options := _choices(body)):
        return str(labels.choose(options, scores))
    return labels.written(text, scores, reason)


def _schema(body: Mapping[str, Any], script: Script) -> Mapping[str, Any] | None:
    asked = body.get("response_format") or {}
    if "json_schema" in script.ignored or asked.get("type") != "json_schema":
        return None
    schema: Mapping[str, Any] = asked["json_schema"]["schema"]
    return schema


def _choices(body: Mapping[str, Any]) -> Sequence[str]:
    named = (body.get("structured_outputs") or {}).get("choice") or body.get("guided_choice") or ()
    return tuple(named)


def _log_probs(
    tokens: Sequence[str], body: Mapping[str, Any], scores: Sequence[float]
) -> dict[str, Any]:
    top = int(body.get("top_logprobs") or 0)
    found = labels.LABELS.findall(prompt_text(body["messages"]))
    options = _choices(body) or (found[-1].split(", ") if found else ())
    return {"content": [_entry(token, top, options, scores) for token in tokens], "refusal": None}


def _entry(token: str, top: int, options: Sequence[str], scores: Sequence[float]) -> dict[str, Any]:
    """A label has its rivals beside it; any other token is as good as certain."""
    word = token.strip()
    shares = _shares(options, scores) if word in options else {}
    shares = {token: 0.98} if not shares else shares | {token: shares[word]}
    rest = (1 - sum(shares.values())) / (len(FILLERS) + 1)
    likely = dict(sorted(shares.items(), key=lambda pair: -pair[1]))
    likely |= {other: rest for other in FILLERS if other not in likely}
    named = [_named(other, share) for other, share in list(likely.items())[:top]]
    return _named(token, shares[token]) | {"top_logprobs": named}


def _shares(options: Sequence[str], scores: Sequence[float]) -> dict[str, float]:
    """P of each label, 0.96 in all: the likeliest is the one that `choose` takes."""
    weights = [math.exp(SURENESS * value) for value in _values(options, scores)]
    return {
        option: 0.96 * weight / sum(weights)
        for option, weight in zip(options, weights, strict=True)
    }


def _values(options: Sequence[str], scores: Sequence[float]) -> list[float]:
    first = scores[0] if scores else 0.5
    if all(option.isdigit() for option in options):
        at = first * (len(options) - 1)
        return [-abs(place - at) / 2 for place in range(len(options))]
    if len(scores) < 2:
        return [1 - first if option == "no" else first for option in options]
    # Three of them: the third is the tie.
    close = min(scores[:2]) if abs(scores[0] - scores[1]) >= EVEN else max(scores[:2]) + EVEN
    return [*scores[:2], close][: len(options)]


def _named(token: str, share: float) -> dict[str, Any]:
    return {"token": token, "logprob": math.log(max(share, 1e-9)), "bytes": list(token.encode())}
