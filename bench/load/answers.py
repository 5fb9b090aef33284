"""Random answers to the three kinds of items, as form fields and as what they mean.

What they mean is kept in the order shown; `canonical` turns it by the texts that stood on the
page, not by the order that the database says was shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Any

from bench.load.client import Page

TOKEN = re.compile(r"token-\d+-\d+")
STRENGTH = re.compile(r'name="(strength-[^"]+)"')
THUMB = re.compile(r'name="(thumb-[^"]+)"')
RANK = re.compile(r'name="rank-([^"]+)-(\d+)"')

Answer = dict[str, Any]


def shown_tokens(page: Page) -> list[str]:
    """The marks of the responses, in the order in which they stand on the page."""
    return list(dict.fromkeys(TOKEN.findall(page.text)))


def random_answers(page: Page, random: Random) -> tuple[dict[str, str], dict[str, Answer]]:
    """The form's fields, and the same by criterion as it will have to be found again."""
    if page.kind == "listwise":
        return _ranks(page, random)
    pattern, values = (THUMB, (0, 1)) if page.kind == "thumbs" else (STRENGTH, range(-3, 4))
    fields = {name: str(random.choice(values)) for name in set(pattern.findall(page.text))}
    what = "thumb" if page.kind == "thumbs" else "strength"
    return fields, {name.partition("-")[2]: {what: int(value)} for name, value in fields.items()}


def _ranks(page: Page, random: Random) -> tuple[dict[str, str], dict[str, Answer]]:
    places = RANK.findall(page.text)
    fields: dict[str, str] = {}
    answers: dict[str, Answer] = {}
    for criterion in {name for name, _ in places}:
        size = len({place for name, place in places if name == criterion})
        ranks = _dense([random.randint(1, size) for _ in range(size)])
        line = random.randint(0, max(ranks))
        fields |= {f"rank-{criterion}-{shown}": str(rank) for shown, rank in enumerate(ranks)}
        fields[f"acceptable_to-{criterion}"] = str(line)
        answers[criterion] = {"ranks": ranks, "acceptable_to": line}
    return fields, answers


def _dense(ranks: Sequence[int]) -> list[int]:
    places = {rank: place for place, rank in enumerate(sorted(set(ranks)), start=1)}
    return [places[rank] for rank in ranks]


def canonical(answer: Answer, positions: Sequence[int]) -> Answer:
    """`positions[i]` is the canonical position of the response that stood i-th on the page."""
    if "strength" in answer:
        return {"strength": answer["strength"] if positions[0] == 0 else -answer["strength"]}
    if "ranks" in answer:
        ranks = [0] * len(positions)
        for shown, position in enumerate(positions):
            ranks[position] = answer["ranks"][shown]
        return {"ranks": ranks, "acceptable_to": answer["acceptable_to"]}
    return answer
