"""Rows of one kind out of rows of another. Nothing here happens unless somebody asks for it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations

from training.alignment.data.rows import Kind, Row, Text


def list_to_pairs(row: Row) -> list[Row]:
    """The n(n-1)/2 pairs of a list, which share its weight and are one `group`.

    The share of a tie goes with it, for a list that ties says less.
    """
    ranks, texts = row.ranks or (), list(row.completions.values())
    weight = (row.weight or 1.0) * 2 / (len(texts) * (len(texts) - 1))
    order = sorted(range(len(ranks)), key=lambda index: ranks[index])
    return [
        Row(
            id=f"{row.id}-{better}-{worse}",
            group=row.group or row.id,
            prompt=row.prompt,
            completions={"chosen": texts[better], "rejected": texts[worse]},
            target=0.5 if ranks[better] == ranks[worse] else 1.0,
            weight=weight,
            facts=row.facts,
        )
        for better, worse in combinations(order, 2)
    ]


def pair_to_binary(row: Row) -> list[Row]:
    """The likelier side as a good answer, the other as a bad one; of a tie nothing."""
    if row.target == 0.5:
        return []
    good, bad = _sides(row)
    return [
        _answer(row, f"{row.id}-good", row.completions[good], 1.0),
        _answer(row, f"{row.id}-bad", row.completions[bad], 0.0),
    ]


def pair_to_demonstrations(row: Row) -> list[Row]:
    """The likelier side; of a tie nothing."""
    if row.target == 0.5:
        return []
    return [_answer(row, row.id, row.completions[_sides(row)[0]], 1.0)]


def list_to_demonstrations(row: Row) -> list[Row]:
    """What stands first, or all that tie there, which then share the weight; of one tie nothing."""
    ranks = row.ranks or ()
    best = [place for place, rank in enumerate(ranks) if rank == min(ranks)]
    if len(best) == len(ranks):
        return []
    return [
        replace(
            _answer(row, f"{row.id}-{place}", row.completions[f"completion_{place}"], 1.0),
            weight=(row.weight or 1.0) / len(best),
        )
        for place in best
    ]


def binary_to_demonstrations(row: Row) -> list[Row]:
    """An answer that was found good, as it is; of a bad one nothing."""
    return [row] if row.target == 1.0 else []


def to_prompts(row: Row) -> list[Row]:
    """The prompt alone, with the facts by which its new answers may be rewarded."""
    return [replace(row, completions={}, target=1.0, margin=0.0, ranks=None, scores=None)]


def _sides(row: Row) -> tuple[str, str]:
    return ("chosen", "rejected") if row.target > 0.5 else ("rejected", "chosen")


def _answer(row: Row, name: str, text: Text, label: float) -> Row:
    return replace(
        row, id=name, completions={"completion": text}, target=label, margin=0.0, ranks=None,
        scores=None,
    )  # fmt: skip


CONVERSIONS: Mapping[tuple[Kind, Kind], Callable[[Row], list[Row]]] = {
    ("lists", "pairs"): list_to_pairs,
    ("pairs", "binary"): pair_to_binary,
    ("pairs", "demonstrations"): pair_to_demonstrations,
    ("lists", "demonstrations"): list_to_demonstrations,
    ("binary", "demonstrations"): binary_to_demonstrations,
    ("pairs", "prompts"): to_prompts,
    ("lists", "prompts"): to_prompts,
    ("binary", "prompts"): to_prompts,
    ("demonstrations", "prompts"): to_prompts,
}
