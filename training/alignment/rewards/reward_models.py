"""Rewards by reward models: one, or an ensemble that is harder to exploit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.alignment.models import load_tokenizer
from training.alignment.reward_model import (
    RewardScorer,
    is_reward_model,
    load_reward_model,
    transformers_model,
)
from training.alignment.rewards.protocol import RewardError, Rewards
from training.alignment.rewards.settings import COMBINATIONS, combination_problem
from training.alignment.rollouts.protocol import Rollout
from training.alignment.scoring import score_all
from training.alignment.tokenization import (
    Limits,
    Tokens,
    TokenSequence,
    cut_prompt,
    encode_completion,
    encode_prompt,
    end_tokens,
)


class RewardModelSource:
    """r(x, y) of one or more reward models.

    With r_1 … r_k (Coste et al. 2023, arXiv 2310.02743, section 4.2):

        mean          R = (1/k) Σ r_i
        min           R = min_i r_i                       (worst case)
        uncertainty   R = mean_i r_i − λ Var_i r_i        (λ > 0 is `uncertainty_weight`; Var
                                                           divides by k)

    A model whose tokenizer differs from the policy's gets the text, tokenised anew by its own: an
    answer that was cut without an end token. What is too long for a model is cut, the prompt first.

    Models compute in `dtype`, the scalar head always in float32. In bfloat16 a reward is off by
    some hundredths of the spread of rewards, which a group method that divides by that spread takes
    for a difference where all answers are about as good.
    """

    def __init__(
        self,
        scorers: Sequence[RewardScorer],
        tokenizers: Sequence[Any],
        policy_tokenizer: Any,
        *,
        name: str = "reward_model",
        combine: str = "mean",
        uncertainty_weight: float = 0.0,
        batch_size: int = 16,
    ) -> None:
        if not scorers or combine not in COMBINATIONS:
            raise RewardError(f"needs reward models and one of {', '.join(COMBINATIONS)}")
        if problem := combination_problem(combine, uncertainty_weight):
            raise RewardError(f"uncertainty_weight: {problem}")
        self.name = name
        self.combine = combine
        self.uncertainty_weight = uncertainty_weight
        self.batch_size = batch_size
        self._scorers = list(scorers)
        self._tokenizers = list(tokenizers)
        self._anew = [not _same(tokenizer, policy_tokenizer) for tokenizer in tokenizers]

    @classmethod
    def load(
        cls,
        folders: Sequence[str | Path],
        policy_tokenizer: Any,
        *,
        dtype: torch.dtype,
        device: torch.device,
        **options: Any,
    ) -> "RewardModelSource":
        """From folders; raises ModelError, or RewardError when one holds no reward model."""
        for folder in folders:
            if not is_reward_model(folder):
                raise RewardError(f"{Path(folder).name} is no reward model: it has no scalar head")
        scorers = [
            RewardScorer(load_reward_model(folder, dtype=dtype, device=device), dtype)
            for folder in folders
        ]
        tokenizers = [load_tokenizer(folder) for folder in folders]
        return cls(scorers, tokenizers, policy_tokenizer, **options)

    def __call__(self, rollouts: Sequence[Rollout]) -> Rewards:
        scores = self.scores(rollouts)
        if self.combine == "min":
            return np.asarray(scores.min(axis=0))
        spread = scores.var(axis=0) if self.combine == "uncertainty" else 0.0
        return np.asarray(scores.mean(axis=0) - self.uncertainty_weight * spread)

    def scores(self, rollouts: Sequence[Rollout]) -> NDArray[np.float64]:
        """Each model's score of each answer: [k, n]."""
        rows = []
        models = zip(self._scorers, self._tokenizers, self._anew, strict=True)
        for scorer, tokenizer, anew in models:
            longest = _positions(scorer)
            sequences = [_sequence(item, tokenizer, longest, anew=anew) for item in rollouts]
            device = next(scorer.parameters()).device
            values = score_all(scorer, sequences, device, batch_size=self.batch_size)
            rows.append(values.double().cpu().numpy())
        return np.stack(rows)


def _positions(scorer: RewardScorer) -> int:
    config: Any = transformers_model(scorer.model).config
    return int(getattr(config.get_text_config(), "max_position_embeddings", 2**20))


def _sequence(rollout: Rollout, tokenizer: Any, longest: int, *, anew: bool) -> TokenSequence:
    """At most `longest` tokens; `anew` tokenises the text, otherwise the policy's tokens are it."""
    prompt = rollout.prompt
    if anew:
        prompt = encode_prompt(rollout.prompt_text, tokenizer, rollout.facts.get("tools"))
    completion = _completion(rollout, tokenizer) if anew else rollout.completion
    completion = completion[: longest - 1]
    limits = Limits(max_length=longest, max_prompt_length=longest - len(completion))
    return TokenSequence(cut_prompt(prompt, limits, tokenizer.bos_token_id), completion)


def _completion(rollout: Rollout, tokenizer: Any) -> Tokens:
    prompt, written = rollout.prompt_text, rollout.text
    is_chat = not isinstance(prompt, str)
    answer: Any = [{"role": "assistant", "content": written}] if is_chat else written
    completion = encode_completion(prompt, answer, tokenizer, rollout.facts.get("tools"))
    return completion if rollout.finish_reason == "stop" else _unended(completion, tokenizer)


def _unended(completion: Tokens, tokenizer: Any) -> Tokens:
    """The policy did not end its answer, so the model must not see it as ended."""
    ended = len(completion) > 1 and int(completion[-1]) in end_tokens(tokenizer)
    return completion[:-1] if ended else completion


def _same(tokenizer: Any, other: Any) -> bool:
    return bool(
        tokenizer.get_vocab() == other.get_vocab()
        and tokenizer.chat_template == other.chat_template
    )
