"""New tokens a second: our rollouts beside transformers.generate, SmolLM2 on this machine's CPU.

Both sample at temperature 1 from weights in the same precision. `equal` forces every answer to one
length; `natural` lets answers end where the model ends them, so that transformers' batch waits for
its longest row. Only tokens up to the end of an answer count. Runs alternate, after one warm-up
each; the medians are what is reported. `update` is what taking the policy's weights costs a step.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from training.alignment.generation import Engine, Request, response_seed
from training.alignment.generation.copies import sampling_copy
from training.alignment.models import (
    convert_smollm2,
    load_model,
    load_tokenizer,
    plain_generation,
)
from training.alignment.tokenization import Tokens, encode_prompt, end_tokens

RUNS = 3
ROWS = 16
QUESTIONS = (
    "Why is the sky blue? Answer in one sentence.",
    "Name a fruit.",
    "Write a short poem on the sea and its many colours.",
    "List three reasons to learn how to cook at home.",
    "What is 7 times 8? Answer with the number alone.",
    "Explain to a child what a volcano is.",
    "Give one synonym of happy.",
    "Describe a quiet morning in a small town in two sentences.",
)


class Load(NamedTuple):
    """What one run writes."""

    prompts: int
    samples: int
    max_new_tokens: int
    natural: bool


LOADS = {
    "equal_2x4x32": Load(2, 4, 32, natural=False),
    "equal_4x4x64": Load(4, 4, 64, natural=False),
    "natural_8x4x64": Load(8, 4, 64, natural=True),
}

Contestant = Callable[[Sequence[Tokens], Load, int], int]


def run() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "smollm2"
        convert_smollm2(folder)
        tokenizer = load_tokenizer(folder)
        figures: dict[str, object] = {"threads": torch.get_num_threads(), "rows": ROWS}
        for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
            model = load_model(folder, dtype=dtype, device=torch.device("cpu"))
            began = time.perf_counter()
            copied = sampling_copy(model, dtype, rows=ROWS)
            figures[name] = {"update_seconds": round(time.perf_counter() - began, 3)} | {
                load_name: compare(model, copied, tokenizer, load)
                for load_name, load in LOADS.items()
                if dtype is torch.bfloat16 or not load.natural
            }
            del model, copied
    return figures


def compare(model: Any, copied: Any, tokenizer: Any, load: Load) -> dict[str, object]:
    prompts = [
        encode_prompt([{"role": "user", "content": question}], tokenizer)
        for question in QUESTIONS[: load.prompts]
    ]
    contestants = {
        "ours": ours(copied, tokenizer),
        "transformers": theirs(model, tokenizer),
    }
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for number in range(RUNS + 1):
        for name, write in contestants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            tokens = write(prompts, load, number)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if number:
                speeds[name].append((tokens / wall, tokens / cpu))
    figures: dict[str, object] = {}
    for name, pairs in speeds.items():
        figures[f"{name}_tokens_per_second"] = round(statistics.median(p[0] for p in pairs), 1)
        figures[f"{name}_tokens_per_cpu_second"] = round(statistics.median(p[1] for p in pairs), 1)
    ratios = [
        mine[1] / other[1]
        for mine, other in zip(speeds["ours"], speeds["transformers"], strict=True)
    ]
    figures["ratio_by_cpu_time"] = round(statistics.median(ratios), 2)
    return figures


def ours(model: Any, tokenizer: Any) -> Contestant:
    def write(prompts: Sequence[Tokens], load: Load, run_number: int) -> int:
        ends = end_tokens(tokenizer) if load.natural else frozenset[int]()
        requests = [
            Request(
                prompt,
                [response_seed(run_number, str(place), k) for k in range(load.samples)],
                load.max_new_tokens,
            )
            for place, prompt in enumerate(prompts)
        ]
        groups = Engine(model, ends, rows=ROWS).run(requests)
        return sum(len(answer.tokens) for answers in groups for answer in answers)

    return write


def theirs(model: Any, tokenizer: Any) -> Contestant:
    """Prompts repeated for their samples and padded at the left, ROWS at a time, as TRL does."""
    ends = sorted(end_tokens(tokenizer))

    @torch.no_grad()
    def write(prompts: Sequence[Tokens], load: Load, run_number: int) -> int:
        torch.manual_seed(run_number)
        repeated = [prompt for prompt in prompts for _ in range(load.samples)]
        tokens = 0
        for start in range(0, len(repeated), ROWS):
            batch = repeated[start : start + ROWS]
            width = max(len(prompt) for prompt in batch)
            ids = np.full((len(batch), width), tokenizer.pad_token_id, dtype=np.int64)
            seen = np.zeros_like(ids)
            for row, prompt in enumerate(batch):
                ids[row, width - len(prompt) :] = prompt
                seen[row, width - len(prompt) :] = 1
            settings: dict[str, Any] = {"eos_token_id": ends} if load.natural else {}
            output = model.generate(
                input_ids=torch.from_numpy(ids),
                attention_mask=torch.from_numpy(seen),
                generation_config=plain_generation(
                    do_sample=True,
                    top_k=0,
                    max_new_tokens=load.max_new_tokens,
                    pad_token_id=tokenizer.pad_token_id,
                    **settings,
                ),
            )
            tokens += sum(useful(row, ends, load) for row in output[:, width:].tolist())
        return tokens

    return write


def useful(row: Sequence[int], ends: Sequence[int], load: Load) -> int:
    if not load.natural:
        return len(row)
    return next((place + 1 for place, token in enumerate(row) if token in ends), len(row))
