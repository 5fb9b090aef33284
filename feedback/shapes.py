"""A snapshot's records in the shapes that training tools read.

Pairs, binary labels, ranked lists, prompts, and demonstrations: what people wrote in place of a
response.

Plain functions on plain dictionaries. Rows are conversational: texts are lists of messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from annotation.messages import as_text

Record = dict[str, Any]
Row = dict[str, Any]
EVEN = 0.5


@dataclass(frozen=True)
class ShapeOptions:
    """`ties`: pairs of equal worth too, with probability 0.5. `binary_from_pairs`: preferred
    responses as good and the others as bad, beside what thumbs say. `rewrites`: pairs too of what
    a person wrote against the response that it is to replace. `demonstrations_from_preferred`:
    what was preferred, ranked first or found good, beside what people wrote."""

    ties: bool = False
    binary_from_pairs: bool = False
    rewrites: bool = False
    demonstrations_from_preferred: bool = False


def pairs(record: Record, options: ShapeOptions) -> Iterator[Row]:
    """`probability` is that of the chosen side, and `strength` says by how much, from 0 to 3,
    where that was asked. Pairs of one list share its `group`."""
    if record["kind"] == "pairwise":
        strength = record["outcome"]["strength"]
        for row in _pair(record, 0, 1, strength, record["probabilities"][0], options):
            yield {**row, "strength": 0.0 if row["probability"] == EVEN else abs(strength)}
    elif record["kind"] == "listwise":
        ranks = record["outcome"]["ranks"]
        places = combinations(range(len(ranks)), 2)
        for (first, second), share in zip(places, record["probabilities"], strict=True):
            better = ranks[second] - ranks[first]
            for row in _pair(record, first, second, better, share, options):
                yield {**row, "id": f"{record['id']}:{first}-{second}", "group": record["id"]}
    elif options.rewrites:
        yield from _rewrite_pairs(record)


def _rewrite_pairs(record: Record) -> Iterator[Row]:
    """Nobody voted on these pairs: who wrote one side says that it is better, hence probability 1.
    Several against one response share its `group`."""
    original = record["responses"][0]
    for row in demonstrations(record, ShapeOptions()):
        yield {
            "id": row["id"],
            "group": record["id"],
            "prompt_id": record["prompt_id"],
            "prompt": record["prompt"],
            "chosen": row["completion"],
            "rejected": original["messages"],
            "probability": 1.0,
            "chosen_generator": row["generator"],
            "rejected_generator": original["generator"],
            "source": row["source"],
        }


def demonstrations(record: Record, options: ShapeOptions) -> Iterator[Row]:
    """What people wrote in place of a response that they judged."""
    if options.demonstrations_from_preferred:
        yield from _preferred(record)
    for place, rewrite in enumerate(record.get("rewrites", ())):
        yield {
            "id": f"{record['id']}:rewrite-{place}",
            "prompt_id": record["prompt_id"],
            "prompt": record["prompt"],
            "completion": rewrite["messages"],
            "generator": rewrite["generator"],
            "source": "rewrite",
        }


def _preferred(record: Record) -> Iterator[Row]:
    """Responses that tie for the first place of a list share its weight."""
    best = _best(record)
    for position in best:
        response = record["responses"][position]
        row = {
            "id": f"{record['id']}:{position}",
            "prompt_id": record["prompt_id"],
            "prompt": record["prompt"],
            "completion": response["messages"],
            "generator": response["generator"],
            "source": record["kind"],
        }
        yield row if len(best) == 1 else {**row, "weight": round(1 / len(best), 6)}


def _best(record: Record) -> list[int]:
    """Positions of what was preferred; none where everything ties or is bad."""
    outcome = record["outcome"]
    if record["kind"] == "thumbs":
        return [0] if outcome["thumb"] else []
    if record["kind"] == "listwise":
        ranks = outcome["ranks"]
        best = [place for place, rank in enumerate(ranks) if rank == min(ranks)]
        return best if len(best) < len(ranks) else []
    share = record["probabilities"][0]
    if outcome["strength"] > 0 and share > EVEN:
        return [0]
    return [1] if outcome["strength"] < 0 and share < EVEN else []


def prompts(record: Record, options: ShapeOptions) -> Iterator[Row]:
    """What was asked, for methods that sample the responses themselves; with the reference answer,
    for what verifies them, where there is one."""
    row = {
        "id": str(record["prompt_id"]),
        "prompt_id": record["prompt_id"],
        "prompt": record["prompt"],
    }
    yield {**row, "answer": record["reference"]} if "reference" in record else row


def _pair(
    record: Record, first: int, second: int, better: float, share: float, options: ShapeOptions
) -> Iterator[Row]:
    """`better` is positive where the first response is; `share` is P(first preferred).

    Where a list's order and the votes on this very pair disagree, neither is believed: a tie.
    """
    chosen, rejected = (first, second) if better >= 0 else (second, first)
    probability = share if better >= 0 else 1 - share
    is_tie = better == 0 or probability <= EVEN
    if is_tie and not options.ties:
        return
    responses = record["responses"]
    yield {
        "id": record["id"],
        "prompt_id": record["prompt_id"],
        "prompt": record["prompt"],
        "chosen": responses[chosen]["messages"],
        "rejected": responses[rejected]["messages"],
        "probability": EVEN if is_tie else round(probability, 6),
        "chosen_generator": responses[chosen]["generator"],
        "rejected_generator": responses[rejected]["generator"],
    }


def binary(record: Record, options: ShapeOptions) -> Iterator[Row]:
    """`source` says what a label comes from; without being asked only thumbs give labels."""
    if record["kind"] == "thumbs":
        yield _labelled(record, 0, bool(record["outcome"]["thumb"]))
    elif options.binary_from_pairs:
        for position, label in enumerate(_labels(record)):
            if label is not None:
                yield _labelled(record, position, label)


def _labels(record: Record) -> list[bool | None]:
    """Two bad responses are two bad labels; a plain tie says nothing of either's worth."""
    outcome, size = record["outcome"], len(record["responses"])
    if record["kind"] == "pairwise":
        if outcome["strength"] == 0:
            return [False if outcome["both_bad"] else None] * size
        return [outcome["strength"] > 0, outcome["strength"] < 0]
    line = outcome.get("acceptable_to")
    return [None] * size if line is None else [rank <= line for rank in outcome["ranks"]]


def _labelled(record: Record, position: int, label: bool) -> Row:
    response = record["responses"][position]
    return {
        "id": f"{record['id']}:{position}",
        "prompt_id": record["prompt_id"],
        "prompt": record["prompt"],
        "completion": response["messages"],
        "label": label,
        "generator": response["generator"],
        "source": record["kind"],
    }


def lists(record: Record, options: ShapeOptions) -> Iterator[Row]:
    """Rank 1 is best, equal ranks tie. A list that ties throughout ranks nothing."""
    if record["kind"] != "listwise" or len(set(record["outcome"]["ranks"])) == 1:
        return
    yield {
        "id": record["id"],
        "prompt_id": record["prompt_id"],
        "prompt": record["prompt"],
        "completions": [response["messages"] for response in record["responses"]],
        "ranks": record["outcome"]["ranks"],
        "generators": [response["generator"] for response in record["responses"]],
    }


SHAPES: dict[str, Callable[[Record, ShapeOptions], Iterator[Row]]] = {
    "pairs": pairs,
    "binary": binary,
    "lists": lists,
    "demonstrations": demonstrations,
    "prompts": prompts,
}


def plain_text(messages: list[dict[str, Any]]) -> str:
    """One message is its text; a conversation names its speakers, a paragraph each."""
    if len(messages) == 1:
        return as_text(messages[0])
    return "\n\n".join(f"{one['role'].capitalize()}: {as_text(one)}" for one in messages)
