"""What the model of an offline run writes to the same held-out prompts through training."""

from dataclasses import replace
from typing import Any

import torch

from training.alignment.budget import STEP_SAMPLE_TOKENS
from training.alignment.evaluation.samples import sample, sample_prompts
from training.alignment.offline_run import Run
from training.alignment.sharding import is_sharded
from training.alignment.watching import append_lines, as_messages


@torch.no_grad()
def write_step_samples(run: Run, tokenizer: Any, step: int) -> None:
    """Answer the first held-out prompts with one seed into step_samples.jsonl.

    The main process does it alone. Nothing is written of a reward model, which answers nothing, and
    of a sharded model, whose weights no process has together.
    """
    config = run.config
    count = min(config.step_sample_prompts, config.sample_prompts)
    if not count or run.objective.trains_rewards or is_sharded(run.module):
        return
    if not run.accelerator.is_main_process:
        return
    longest = min(STEP_SAMPLE_TOKENS, config.sample_max_new_tokens)
    short = replace(config, sample_prompts=count, sample_max_new_tokens=longest)
    prompts = sample_prompts(run.data.held_out, short)
    run.module.eval()
    answers = sample(run.module, tokenizer, prompts, short).responses
    lines = [
        {
            "step": step,
            "position": place,
            "prompt": as_messages(example.prompt),
            "text": answer.text,
            "tokens": len(answer.tokens),
            "ended": float(answer.finish_reason != "length"),
        }
        for place, (example, answer) in enumerate(zip(prompts, answers, strict=True))
    ]
    append_lines(run.output, lines)
