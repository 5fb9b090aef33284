"""PandaLM's test set: human judgments of pairs, three annotators each (arXiv 2306.05087)."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

Item = Mapping[str, Any]

HELD_OUT_PROMPTS = 34  # of 170


def items() -> list[dict[str, Any]]:
    """The file as it is: instruction, input, two responses, three annotators' votes."""
    folder = os.environ.get("PREFLOOP_TEST_DATA")
    if folder is None:
        raise RuntimeError("PREFLOOP_TEST_DATA must name the folder that holds pandalm/")
    text = (Path(folder) / "pandalm" / "testset-v1.json").read_text("utf-8")
    found: list[dict[str, Any]] = json.loads(text)
    return found


def votes(item: Item) -> list[str]:
    """Each annotator's better response, 1 or 2, or 0 for a tie."""
    return [str(item[f"annotator{number}"]) for number in (1, 2, 3)]


def decided_pair(item: Item) -> dict[str, Any] | None:
    """The item as a pair; None when no two annotators prefer the same, or a response is empty."""
    winner = next((side for side in "12" if votes(item).count(side) >= 2), None)
    answers = {side: str(item[f"response{side}"]).strip() for side in "12"}
    if winner is None or not all(answers.values()):
        return None
    text = item["instruction"] + ("\n\n" + item["input"] if item["input"] else "")
    loser = "21"[int(winner) - 1]
    return {
        "prompt": [{"role": "user", "content": text}],
        "chosen": [{"role": "assistant", "content": answers[winner]}],
        "rejected": [{"role": "assistant", "content": answers[loser]}],
    }


def pairs_of(judged: Sequence[Item]) -> list[dict[str, Any]]:
    return [row for item in judged if (row := decided_pair(item))]


def short(longest: int) -> list[dict[str, Any]]:
    """The decided items whose prompt and both responses together have at most so many letters."""
    return [
        item
        for item in items()
        if (row := decided_pair(item))
        and sum(len(side[0]["content"]) for side in row.values()) <= longest
    ]


def split(judged: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Items to train on and items held out, which share no prompt; both in a seeded order."""
    prompts = sorted({_prompt(item) for item in items()})
    held_out = set(random.Random(0).sample(prompts, HELD_OUT_PROMPTS))
    shuffled = random.Random(1).sample(judged, len(judged))
    return (
        [item for item in shuffled if _prompt(item) not in held_out],
        [item for item in shuffled if _prompt(item) in held_out],
    )


def agreement(judged: Sequence[Item]) -> dict[str, float]:
    """How often two annotators of an item say the same: in all, and where neither says a tie."""
    both = [pair for item in judged for pair in combinations(votes(item), 2)]
    decided = [pair for pair in both if "0" not in pair]
    return {
        "agree": round(mean(first == second for first, second in both), 4),
        "agree_where_both_decide": round(mean(first == second for first, second in decided), 4),
    }


def _prompt(item: Item) -> tuple[str, str]:
    return str(item["instruction"]), str(item["input"])
