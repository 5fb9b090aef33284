"""Generation by transformers alone: for models that the engine cannot feed, and its measure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessorList

from training.alignment.generation.drawing import Uniforms, draw
from training.alignment.models import plain_generation
from training.alignment.tokenization import Tokens, end_tokens


class SeededDraw:
    """Turns the arg max of greedy decoding into a draw, row by row, each by its own stream."""

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        self._streams = [Uniforms(seed) for seed in seeds]
        self._temperature = temperature
        self._top_p = top_p

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.float()
        rows = len(scores)
        uniforms = torch.tensor([stream.next() for stream in self._streams], dtype=torch.float64)
        drawn = draw(
            scores,
            uniforms.to(scores.device),
            scores.new_full((rows,), self._temperature),
            scores.new_full((rows,), self._top_p) if self._top_p < 1 else None,
        )
        chosen = torch.full_like(scores, -torch.inf)
        return chosen.scatter(1, drawn.tokens[:, None], 0.0)


@torch.no_grad()
def generate_plainly(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Tokens],
    seeds: Sequence[int],
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> list[tuple[Tokens, str]]:
    """Each prompt's tokens and why they ended; the same draws as the engine's."""
    width = max(len(prompt) for prompt in prompts)
    ids = np.full((len(prompts), width), tokenizer.pad_token_id, dtype=np.int64)
    seen = np.zeros((len(prompts), width), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = prompt
        seen[row, width - len(prompt) :] = 1
    ends = end_tokens(tokenizer)
    output = model.generate(
        input_ids=torch.from_numpy(ids).to(model.device),
        attention_mask=torch.from_numpy(seen).to(model.device),
        generation_config=plain_generation(
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=sorted(ends),
            pad_token_id=tokenizer.pad_token_id,
        ),
        logits_processor=LogitsProcessorList([SeededDraw(seeds, temperature, top_p)]),
    )
    written = output[:, width:].cpu().numpy().astype(np.int32)
    return [_until_end(tokens, ends) for tokens in written]


def _until_end(tokens: Tokens, ends: frozenset[int]) -> tuple[Tokens, str]:
    last = next((index for index, token in enumerate(tokens) if int(token) in ends), None)
    return (tokens, "length") if last is None else (tokens[: last + 1], "stop")
