"""Sampling responses: reproducible per response, whatever shares its batch."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

from training.alignment.models import plain_generation
from training.alignment.tokenization import Tokens, end_tokens


@dataclass(frozen=True)
class Response:
    """One sampled answer: its tokens (the end token included) and why it ended."""

    tokens: Tokens
    text: str
    finish_reason: str


class SeededSampler:
    """Turns the arg max of greedy decoding into a sample, row by row, by the Gumbel trick.

    arg max(logits + Gumbel noise) is distributed as softmax(logits). Each row draws its noise from
    its own generator, so a response depends on its own seed only.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.float()
        for row, generator in enumerate(self.generators):
            noise = torch.empty_like(scores[row]).exponential_(generator=generator)
            scores[row] -= noise.log()
        return scores


@torch.no_grad()
def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Tokens],
    seeds: Sequence[int],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> list[Response]:
    """One response for each prompt; temperature 0 takes the most likely token every time."""
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
        logits_processor=_processors(temperature, top_p, seeds, model.device),
    )
    written = output[:, width:].cpu().numpy().astype(np.int32)
    return [_response(tokens, tokenizer, ends) for tokens in written]


def response_seed(seed: int, prompt_id: str, number: int) -> int:
    """The seed of the n-th response to a prompt: the same in any order and after any resume."""
    digest = hashlib.sha256(f"{seed}/{prompt_id}/{number}".encode()).digest()
    return int.from_bytes(digest[:6], "big")


def _processors(
    temperature: float, top_p: float, seeds: Sequence[int], device: torch.device
) -> LogitsProcessorList:
    processors = LogitsProcessorList()
    if temperature > 0:
        processors.append(TemperatureLogitsWarper(float(temperature)))
        if top_p < 1.0:
            processors.append(TopPLogitsWarper(float(top_p)))
        processors.append(SeededSampler(seeds, device))
    return processors


def _response(tokens: Tokens, tokenizer: Any, ends: frozenset[int]) -> Response:
    last = next((index for index, token in enumerate(tokens) if int(token) in ends), None)
    if last is None:
        kept, reason = tokens, "length"
    else:
        kept, reason = tokens[: last + 1], "stop"
    text = tokenizer.decode([int(token) for token in kept], skip_special_tokens=True)
    return Response(kept, str(text), reason)
