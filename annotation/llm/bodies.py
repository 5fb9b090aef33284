"""From a request to what is sent: only what a probe found that this model can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.judging.exchange import Request

# What a probe finds: see probe.py. Before it, everything is sent, and refused where it must be.
Abilities = Mapping[str, Any]
CHOICES_AS = ("structured_outputs", "guided_choice")
LENGTH_AS = ("max_tokens", "max_completion_tokens")


def body_of(model: str, request: Request, can: Abilities) -> dict[str, Any]:
    """Constraints that the model cannot take are left out; log-probabilities never are."""
    body = plain_body(model, request.messages, request.max_tokens, can)
    if can.get("temperature", True):
        body["temperature"] = request.temperature
    if request.seed is not None and can.get("seed", True):
        body["seed"] = request.seed
    if request.top_logprobs:
        body["logprobs"] = True
        most = can.get("top_logprobs") or request.top_logprobs
        body["top_logprobs"] = min(request.top_logprobs, most)
    if request.choices and can.get("choices", True):
        body |= choices_part(request.choices, can.get("choices_as", CHOICES_AS[0]))
    elif request.schema and can.get("json_schema", True):
        body |= schema_part(request.schema)
    return body


def plain_body(
    model: str, messages: list[dict[str, Any]], max_tokens: int, can: Abilities
) -> dict[str, Any]:
    length_as = can.get("length_as", LENGTH_AS[0])
    return {"model": model, "messages": messages, length_as: max_tokens}


def schema_part(schema: Mapping[str, Any]) -> dict[str, Any]:
    named = {"name": "verdict", "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def choices_part(choices: tuple[str, ...], way: str) -> dict[str, Any]:
    """vLLM renamed `guided_choice`; our own server takes either."""
    listed = list(choices)
    return {"structured_outputs": {"choice": listed}} if way == CHOICES_AS[0] else {way: listed}
