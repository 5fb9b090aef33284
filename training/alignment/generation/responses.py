"""One answer a prompt, by the engine where the model allows it."""

import hashlib
from collections.abc import Sequence
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
    ends = end_tokens(tokenizer)
    try:
        engine = Engine(model, ends, rows=rows or len(prompts))
    except UnsupportedModelError:
        arguments = (model, tokenizer, prompts, seeds, max_new_tokens, temperature, top_p)
        return [
            _response(tokens, reason, tokenizer) for tokens, reason in generate_plainly(*arguments)
        ]
    answers = engine.run(
        [
            Request(prompt, [seed], max_new_tokens, temperature, top_p)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
    )
    return [_response(answer.tokens, answer.finish_reason, tokenizer) for (answer,) in answers]


def response_seed(seed: int, prompt_id: str, number: int) -> int:
    """The seed of the n-th response to a prompt: the same in any order and after any resume."""
    digest = hashlib.sha256(f"{seed}/{prompt_id}/{number}".encode()).digest()
    return int.from_bytes(digest[:6], "big")


def decode(tokens: Tokens, tokenizer: Any) -> str:
    """The text of an answer, without its end token."""
    return str(tokenizer.decode([int(token) for token in tokens], skip_special_tokens=True))


def _response(tokens: Tokens, reason: str, tokenizer: Any) -> Response:
    return Response(tokens, decode(tokens, tokenizer), reason)
