"""From a request's body to what the engine is asked."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.alignment.data import DataError
from training.alignment.generation import Request, response_seed
from training.alignment.generation.choices import Choices
from training.alignment.generation.responses import decode
from training.alignment.serve import fields
from training.alignment.serve.errors import ApiError
from training.alignment.tokenization import Tokens, encode_prompt

MOST_SAMPLES = 128
MOST_TOP = 20
DEFAULT_TOKENS = 512
_LEGACY_TOKENS = 16

_SHARED = {
    *("model", "n", "seed", "temperature", "top_p", "max_tokens", "stop", "logprobs"),
    *("guided_choice", "structured_outputs", "logprobs_mode", "return_token_ids"),
}


@dataclass(frozen=True)
class Served:
    """The model that answers: its name, tokenizer, longest sequence and embedding rows."""

    name: str
    tokenizer: Any
    positions: int
    fingerprint: str
    embeddings: int


@dataclass(frozen=True)
class Wanted:
    """One call: what is sampled, one request a prompt, and how it is to be reported."""

    requests: Sequence[Request]
    stop: tuple[str, ...]
    log_probs: bool
    processed: bool
    token_ids: bool


def parse_chat(body: Mapping[str, Any], served: Served) -> Wanted:
    """/v1/chat/completions; raises ApiError naming the parameter that is wrong."""
    fields.check_known(body, _SHARED | {"messages", "max_completion_tokens", "top_logprobs"})
    prompt = _encoded(_messages(body.get("messages")), served, "messages")
    log_probs = fields.flag(body, "logprobs")
    top = fields.integer(body, "top_logprobs", 0, 0, MOST_TOP) or 0
    if top and not log_probs:
        raise ApiError(
            "'top_logprobs' needs 'logprobs' to be true.",
            param="top_logprobs",
            code="invalid_value",
        )
    asked = fields.integer(body, "max_completion_tokens", None, 1, 10**6)
    longest = asked or fields.integer(body, "max_tokens", None, 1, 10**6)
    return _wanted(body, served, [prompt], log_probs, top, longest)


def parse_completion(body: Mapping[str, Any], served: Served) -> Wanted:
    """/v1/completions; prompts are texts, or token ids that are taken as they are."""
    fields.check_known(body, _SHARED | {"prompt"})
    prompts = [
        _encoded(prompt, served, "prompt") if isinstance(prompt, str) else _ids(prompt, served)
        for prompt in _prompts(body.get("prompt"))
    ]
    top = fields.integer(body, "logprobs", None, 0, MOST_TOP)
    longest = fields.integer(body, "max_tokens", _LEGACY_TOKENS, 1, 10**6)
    return _wanted(body, served, prompts, top is not None, top or 0, longest)


def _wanted(
    body: Mapping[str, Any],
    served: Served,
    prompts: Sequence[Tokens],
    log_probs: bool,
    top: int,
    longest: int | None,
) -> Wanted:
    samples = fields.integer(body, "n", 1, 1, MOST_SAMPLES) or 1
    seed = fields.integer(body, "seed", None, -(2**63), 2**63 - 1)
    base = secrets.randbits(48) if seed is None else seed
    stop = fields.stops(body)
    texts = fields.choices(body)
    constraint = _choices(texts, served) if texts else None
    temperature = fields.number(body, "temperature", 1.0, 0.0, 10.0)
    top_p = fields.number(body, "top_p", 1.0, 1e-6, 1.0)
    requests = [
        Request(
            prompt=prompt,
            seeds=[response_seed(base, str(place), number) for number in range(samples)],
            max_new_tokens=_room(prompt, longest, served, body),
            temperature=temperature,
            top_p=top_p,
            choices=constraint,
            stops=_stopper(stop, served.tokenizer) if stop else None,
            top_log_probs=top,
        )
        for place, prompt in enumerate(prompts)
    ]
    mode = fields.text(body, "logprobs_mode", ("raw_logprobs", "processed_logprobs"))
    ids = fields.flag(body, "return_token_ids")
    return Wanted(requests, stop, log_probs, mode == "processed_logprobs", ids)


def _messages(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise _invalid("messages", "must be a list of at least one message")
    return [_message(message, f"messages[{place}]") for place, message in enumerate(value)]


def _message(message: Any, name: str) -> dict[str, Any]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise _invalid(name, "must be an object with a role")
    content = message.get("content")
    if isinstance(content, list):
        parts = [_part(part, f"{name}.content") for part in content]
        return {**message, "content": "".join(parts)}
    if not isinstance(content, str):
        raise _invalid(f"{name}.content", "must be a text or a list of text parts")
    return message


def _part(part: Any, name: str) -> str:
    if not isinstance(part, dict) or part.get("type") != "text":
        raise _invalid(name, "may hold text parts only")
    if not isinstance(part.get("text"), str):
        raise _invalid(name, "has a text part without a text")
    return str(part["text"])


def _prompts(value: Any) -> list[Any]:
    is_ids = isinstance(value, list) and all(type(item) is int for item in value)
    prompts = [value] if isinstance(value, str) or (is_ids and value) else value
    if not isinstance(prompts, list) or not 1 <= len(prompts) <= MOST_SAMPLES:
        raise _invalid("prompt", f"must be a text, token ids, or a list of 1 to {MOST_SAMPLES}")
    if not all(isinstance(prompt, str | list) for prompt in prompts):
        raise _invalid("prompt", "must hold texts or lists of token ids")
    return prompts


def _ids(prompt: list[Any], served: Served) -> Tokens:
    # A tokenizer may have more tokens than the model, whose lookup they would break, or fewer.
    known = min(len(served.tokenizer), served.embeddings)
    if not prompt or not all(type(token) is int and 0 <= token < known for token in prompt):
        raise _invalid("prompt", f"must hold token ids from 0 to {known - 1}")
    return np.asarray(prompt, dtype=np.int32)


def _encoded(prompt: Any, served: Served, name: str) -> Tokens:
    # Chat templates are programs of the model's folder: they refuse roles by raising their own.
    from jinja2 import TemplateError

    try:
        return encode_prompt(prompt, served.tokenizer)
    except (DataError, TemplateError) as error:
        raise _invalid(name, f"cannot be written for this model: {error}") from error


def _choices(texts: Sequence[str], served: Served) -> Choices:
    tokenizer = served.tokenizer
    written = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    return Choices(written, tokenizer.eos_token_id)


def _room(prompt: Tokens, longest: int | None, served: Served, body: Mapping[str, Any]) -> int:
    room = served.positions - len(prompt)
    if room < (longest or 1):
        name = "messages" if "messages" in body else "prompt"
        raise ApiError(
            f"'{name}': this model sees at most {served.positions} tokens, but the prompt has "
            f"{len(prompt)} and {longest or 1} more are asked for.",
            param=name,
            code="context_length_exceeded",
        )
    return longest or min(room, DEFAULT_TOKENS)


def _stopper(stop: Sequence[str], tokenizer: Any) -> Callable[[Sequence[int]], bool]:
    def stopped(tokens: Sequence[int]) -> bool:
        written = decode(np.asarray(tokens), tokenizer)
        return any(text in written for text in stop)

    return stopped


def _invalid(name: str, problem: str) -> ApiError:
    return ApiError(f"'{name}' {problem}.", param=name, code="invalid_value")
