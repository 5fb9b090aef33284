"""Rollouts by a server: our own (`python -m training.alignment.serve`), or vLLM for scale.

Both are asked with token ids and answer with token ids and their log-probabilities, so that no text
is tokenised anew in between. New weights are written into the folder that the server serves, and
the server is told to load it.
"""

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import numpy as np
import openai

from training.alignment.generation import response_seed
from training.alignment.generation.responses import decode
from training.alignment.models import merge_lora, save_model
from training.alignment.rollouts.protocol import Prompt, Rollout, RolloutError
from training.alignment.rollouts.settings import ServerOptions, VllmOptions

TOKEN_VARIABLE = "PREFLOOP_SERVE_TOKEN"  # noqa: S105  # its name, not the token
_SAMPLES_PER_CALL = 64
T = TypeVar("T")
R = TypeVar("R")


class ServeSource:
    """Asks our server; log-probabilities are those of the sampling temperature."""

    name = "serve"
    # All processes of a run ask one server, so that one of them hands on the weights.
    shared = True
    extra: Mapping[str, Any] = {"logprobs_mode": "processed_logprobs"}

    def __init__(self, options: ServerOptions, tokenizer: Any) -> None:
        self.options = options
        self.tokenizer = tokenizer
        token = os.environ.get(TOKEN_VARIABLE) or "none"
        self._base = options.url.rstrip("/").removesuffix("/v1")
        self._client = openai.OpenAI(
            base_url=f"{self._base}/v1", api_key=token, timeout=options.patience
        )

    def update(self, model: Any) -> None:
        """Write the weights, an adapter merged in, and have the server load them."""
        whole = merge_lora(copy.deepcopy(model)) if hasattr(model, "merge_and_unload") else model
        save_model(whole, self.tokenizer, Path(self.options.folder))
        self._load()

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
        settings = {"max_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p}
        starts = range(0, per_prompt, _SAMPLES_PER_CALL)
        calls = [(group, start) for group in range(len(prompts)) for start in starts]

        def ask(call: tuple[int, int]) -> list[Rollout]:
            group, start = call
            count = min(_SAMPLES_PER_CALL, per_prompt - start)
            own = response_seed(seed, prompts[group].id, start) % 2**31
            choices = self._complete(prompts[group], {**settings, "n": count, "seed": own})
            return [self._rollout(choice, prompts[group], group) for choice in choices]

        parts = _at_once(ask, calls, most=self.options.concurrency)
        found: list[list[Rollout]] = [[] for _ in prompts]
        for (group, _), part in zip(calls, parts, strict=True):
            found[group] += part
        return found

    def _complete(self, prompt: Prompt, settings: Mapping[str, Any]) -> Sequence[Any]:
        try:
            reply = self._client.completions.create(
                model=self.options.model,
                prompt=prompt.tokens.tolist(),
                logprobs=0,
                extra_body={"return_token_ids": True, **self.extra},
                **settings,
            )
        except openai.OpenAIError as error:
            raise RolloutError(f"{self.name} at {self._base}: {error}") from error
        if len(reply.choices) != settings["n"]:
            raise RolloutError(
                f"{self.name} at {self._base} gave {len(reply.choices)} of {settings['n']} answers"
            )
        return sorted(reply.choices, key=lambda choice: choice.index)

    def _rollout(self, choice: Any, prompt: Prompt, group: int) -> Rollout:
        tokens = getattr(choice, "token_ids", None)
        values = choice.logprobs.token_logprobs if choice.logprobs else None
        if not tokens or not values or len(tokens) != len(values) or None in values:
            # Without them the update would be silently wrong.
            raise RolloutError(
                f"{self.name} at {self._base} gave no token ids or no log-probabilities; it must "
                "support return_token_ids and logprobs"
            )
        written = np.asarray(tokens, dtype=np.int32)
        return Rollout(
            prompt=prompt.tokens,
            prompt_text=prompt.text,
            completion=written,
            text=decode(written, self.tokenizer),
            log_probs=np.asarray(values, dtype=np.float32),
            finish_reason=str(choice.finish_reason),
            group=group,
            facts=prompt.facts,
        )

    def _load(self) -> None:
        self._post("/admin/reload", {})

    def _post(self, path: str, body: Mapping[str, Any]) -> None:
        try:
            self._client.post(f"{self._base}{path}", cast_to=object, body=body)
        except openai.OpenAIError as error:
            raise RolloutError(
                f"{self.name} at {self._base} did not load the new weights: {error}"
            ) from error


class VllmSource(ServeSource):
    """Asks vLLM (0.10.2 or newer, for return_token_ids).

    vLLM reports the model's own log-probabilities unless it was started with
    --logprobs-mode processed_logprobs, so any temperature but 1 needs that. It loads new weights
    only when it was started with VLLM_SERVER_DEV_MODE=1, on the folder that `update` writes.
    """

    name = "vLLM"
    # Left out, they would come from the model's generation_config.json, and another distribution
    # than the policy's would be sampled from.
    extra: Mapping[str, Any] = {
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }

    def __init__(self, options: VllmOptions, tokenizer: Any) -> None:
        super().__init__(options, tokenizer)
        self._processed = options.processed_log_probs

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
        if not self._processed and (temperature, top_p) != (1.0, 1.0):
            raise RolloutError(
                "vLLM reports log-probabilities at temperature 1 by default, but answers are "
                f"sampled at temperature {temperature} and top_p {top_p}: start it with "
                "--logprobs-mode processed_logprobs and set processed_log_probs"
            )
        return super().sample(
            prompts,
            per_prompt=per_prompt,
            seed=seed,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_p=top_p,
        )

    def _load(self) -> None:
        self._post("/collective_rpc", {"method": "reload_weights"})
        # Keys and values of the old weights must not continue the new ones' prompts.
        self._post("/reset_prefix_cache", {})


def _at_once(ask: Callable[[T], R], calls: Sequence[T], *, most: int) -> list[R]:
    """The answer to each call, `most` being in hand at a time; raises what the first one raised.

    After an error or a stop request nobody waits for the calls in hand: a process that ends would
    wait for the threads of a ThreadPoolExecutor.
    """
    answers: list[Future[R]] = [Future() for _ in calls]
    waiting: SimpleQueue[tuple[Future[R], T] | None] = SimpleQueue()
    workers = min(most, len(calls))
    for pair in (*zip(answers, calls, strict=True), *[None] * workers):
        waiting.put(pair)
    try:
        for _ in range(workers):
            Thread(target=_work, args=(ask, waiting), daemon=True).start()
        return [answer.result() for answer in answers]
    finally:
        for answer in answers:
            answer.cancel()


def _work(ask: Callable[[T], R], waiting: SimpleQueue[tuple[Future[R], T] | None]) -> None:
    while pair := waiting.get():
        answer, call = pair
        if answer.set_running_or_notify_cancel():
            try:
                answer.set_result(ask(call))
            except BaseException as error:  # noqa: BLE001  # raised where the answer is awaited
                answer.set_exception(error)
