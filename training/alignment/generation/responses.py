"""One answer a prompt, by the engine where the model allows it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from training.alignment.generation.engine import Engine, Request
from training.alignment.generation.plain import generate_plainly
from training.alignment.log_probs import UnsupportedModelError
from training.alignment.tokenization import Tokens, end_tokens


@dataclass(frozen=True)
class Response:
    """One sampled answer: its tokens (the end token included) and why it ended."""

    tokens: Tokens
    text: str
    finish_reason: str


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Tokens],
    seeds: Sequence[int],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    rows: int | None = None,
) -> list[Response]:
    """One response for each prompt; temperature 0 takes the most likely token every time.

    At most `rows` are written at a time, all of them when left out.
    """
    each = generate_each(
        model,
        tokenizer,
        prompts,
        seeds,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        rows=rows or len(prompts),
    )
    found = dict(each)
    return [found[place] for place in range(len(prompts))]


def generate_each(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Tokens],
    seeds: Sequence[int],
    *,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    rows: int,
) -> Iterator[tuple[int, Response]]:
    """Each prompt's place and response, as they are done; equal prompts are read once."""
    ends = end_tokens(tokenizer)
    settings = (max_new_tokens, temperature, top_p)
    try:
        engine = Engine(model, ends, rows=rows)
    except UnsupportedModelError:
        yield from _each_plainly(model, tokenizer, prompts, seeds, settings, rows)
        return
    places: dict[bytes, list[int]] = {}
    for place, prompt in enumerate(prompts):
        places.setdefault(prompt.tobytes(), []).append(place)
    asked: dict[Request, list[int]] = {}
    for group in places.values():
        request = Request(prompts[group[0]], [seeds[place] for place in group], *settings)
        asked[request] = group
        engine.submit(request)
    while engine.busy:
        for request, number, answer in engine.step():
            yield (
                asked[request][number],
                _response(answer.tokens, answer.finish_reason, tokenizer),
            )


def _each_plainly(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Tokens],
    seeds: Sequence[int],
    settings: tuple[int, float, float],
    rows: int,
) -> Iterator[tuple[int, Response]]:
    for start in range(0, len(prompts), rows):
        batch = slice(start, start + rows)
        written = generate_plainly(model, tokenizer, prompts[batch], seeds[batch], *settings)
        for place, (tokens, reason) in enumerate(written, start):
            yield place, _response(tokens, reason, tokenizer)


def response_seed(seed: int, prompt_id: str, number: int) -> int:
    """The seed of the n-th response to a prompt: the same in any order and after any resume."""
    digest = hashlib.sha256(f"{seed}/{prompt_id}/{number}".encode()).digest()
    return int.from_bytes(digest[:6], "big")


def decode(tokens: Tokens, tokenizer: Any) -> str:
    """The text of an answer, without its end token."""
    return str(tokenizer.decode([int(token) for token in tokens], skip_special_tokens=True))


def _response(tokens: Tokens, reason: str, tokenizer: Any) -> Response:
    return Response(tokens, decode(tokens, tokenizer), reason)
