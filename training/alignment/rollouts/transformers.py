"""Rollouts by the policy in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from training.alignment.generation import Engine, Request, response_seed
from training.alignment.generation.copies import can_pack, sampling_copy
from training.alignment.generation.responses import decode
from training.alignment.log_probs import UnsupportedModelError
from training.alignment.rollouts.protocol import Prompt, Rollout, RolloutError
from training.alignment.tokenization import end_tokens


class TransformersSource:
    """Samples in this process with continuous batching, at most `rows` answers at a time.

    The sampler is a copy of the policy, taken at each update: with bfloat16 because the policy's
    master weights are float32, on a CPU because its matrices are packed there (about 1.7 times as
    fast in float32, the copy counted). Its memory is 2 or 4 bytes a parameter. With float32 on a
    GPU it is the policy itself. Without a model it waits for the first update.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, dtype: torch.dtype = torch.float32, rows: int = 32
    ) -> None:
        self.tokenizer = tokenizer
        self.dtype = dtype
        self.rows = rows
        self._model: Any = None
        if model is not None:
            self.update(model)

    def update(self, model: Any) -> None:
        """Sample from these weights from now on."""
        # The old copy goes first, so that there are never two.
        self._model = None
        copied = self.dtype is not torch.float32 or can_pack(model, self.dtype)
        self._model = sampling_copy(model, self.dtype, rows=self.rows) if copied else model

    def sample(
        self,
        prompts: Sequence[Prompt],
        *,
        per_prompt: int,
        seed: int,
        max_new_tokens: int,
        temperature: float,
        top_p: float = 1.0,
    ) -> list[list[Rollout]]:
        """`per_prompt` answers to each prompt; see `RolloutSource.sample`."""
        requests = [
            Request(
                prompt.tokens,
                [response_seed(seed, prompt.id, number) for number in range(per_prompt)],
                max_new_tokens,
                temperature,
                top_p,
            )
            for prompt in prompts
        ]
        with _evaluating(self._model):
            groups = self._engine().run(requests)
        return [
            [
                Rollout(
                    prompt=prompt.tokens,
                    prompt_text=prompt.text,
                    completion=answer.tokens,
                    text=decode(answer.tokens, self.tokenizer),
                    log_probs=answer.log_probs,
                    finish_reason=answer.finish_reason,
                    group=group,
                    facts=prompt.facts,
                )
                for answer in answers
            ]
            for group, (prompt, answers) in enumerate(zip(prompts, groups, strict=True))
        ]

    def _engine(self) -> Engine:
        """A new engine a call: its cache is memory that training needs in between."""
        try:
            return Engine(self._model, end_tokens(self.tokenizer), rows=self.rows)
        except UnsupportedModelError as error:
            raise RolloutError(f"rollouts by transformers: {error}") from error


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Dropout off while answers are sampled."""
    training = bool(model.training)
    model.eval()
    try:
        yield
    finally:
        model.train(training)
