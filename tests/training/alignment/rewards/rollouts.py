"""Rollouts made by hand."""

import numpy as np

from tests.training.alignment import tiny
from training.alignment.rollouts.protocol import Rollout
from training.alignment.tokenization import encode_completion, encode_prompt


def rollout(text, prompt="why?", *, tokenizer=None, **facts):
    tokenizer = tokenizer or tiny.byte_tokenizer()
    messages = tiny.user(prompt)
    completion = encode_completion(messages, tiny.assistant(text), tokenizer)
    return Rollout(
        prompt=encode_prompt(messages, tokenizer),
        prompt_text=messages,
        completion=completion,
        text=text,
        log_probs=np.zeros(len(completion), dtype=np.float32),
        finish_reason="stop",
        group=0,
        facts=facts,
    )
