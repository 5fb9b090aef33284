"""One row of each kind, from the fields by which this project writes it."""

from collections.abc import Callable, Mapping
from typing import Any

from training.alignment.data import fields
from training.alignment.data.rows import DataError, FieldError, Kind, Row, Text

# Llama 2 (2307.09288, table 27) takes 1, 2/3, 1/3 and 0 for its four degrees of preference.
STRONGEST = 3.0
# Beside a kind's own fields: what any row is made of, and talks that hold its texts once more.
_OWN = ("id", "group", "weight", "prompt", "system", "messages", "conversations")


def pair(values: Mapping[str, Any]) -> Row:
    sides = {role: fields.text(values, role, completion=True) for role in ("chosen", "rejected")}
    target = fields.number(values, "probability", 0.0, 1.0, default=_preference(values))
    facts = _facts(values, "chosen", "rejected", "probability", "margin", "strength")
    return _row(values, sides, target, facts, margin=_margin(values))


def ranked_list(values: Mapping[str, Any]) -> Row:
    found = fields.texts(values, "completions")
    scores = None if values.get("scores") is None else fields.scores(values, len(found))
    if values.get("ranks") is not None or scores is None:
        ranks = fields.ranks(values, len(found))
    else:
        ranks = fields.ranks_of(scores)
    completions = {f"completion_{place}": text for place, text in enumerate(found)}
    facts = _facts(values, "completions", "ranks", "scores")
    return _row(values, completions, 1.0, facts, ranks=ranks, scores=scores)


def binary(values: Mapping[str, Any]) -> Row:
    completion = fields.text(values, "completion", completion=True)
    facts = _facts(values, "completion", "label")
    return _row(values, {"completion": completion}, fields.label(values), facts)


def demonstration(values: Mapping[str, Any]) -> Row:
    completion = fields.text(values, "completion", completion=True)
    return _row(values, {"completion": completion}, 1.0, _facts(values, "completion"))


def prompt(values: Mapping[str, Any]) -> Row:
    return _row(values, {}, 1.0, _facts(values))


PARSERS: Mapping[Kind, Callable[[Mapping[str, Any]], Row]] = {
    "pairs": pair,
    "lists": ranked_list,
    "binary": binary,
    "demonstrations": demonstration,
    "prompts": prompt,
}


def _preference(values: Mapping[str, Any]) -> float:
    """By the sign of a strength, 0 for a tie, the probability that chosen is better; else 1."""
    strength = fields.number(values, "strength", -STRONGEST, STRONGEST, default=STRONGEST)
    return 0.5 if strength == 0.0 else float(strength > 0.0)


def _margin(values: Mapping[str, Any]) -> float:
    """A stated margin, or the strength of the preference as a share of the strongest."""
    if values.get("margin") is not None:
        return fields.number(values, "margin", 0.0, 1e3, default=0.0)
    return abs(fields.number(values, "strength", -STRONGEST, STRONGEST, default=0.0)) / STRONGEST


def _facts(values: Mapping[str, Any], *own: str) -> dict[str, Any]:
    """What a row says beside its texts and what is said of them."""
    return {name: value for name, value in values.items() if name not in (*_OWN, *own)}


def _row(
    values: Mapping[str, Any],
    completions: Mapping[str, Text],
    target: float,
    facts: Mapping[str, Any],
    **more: Any,
) -> Row:
    # Zero, which no row may ask for, stands for "not given" until the rows of a group are counted.
    weight = fields.number(values, "weight", 1e-9, 1e6, default=0.0)
    text = fields.text(values, "prompt", completion=False)
    if any(isinstance(other, str) != isinstance(text, str) for other in completions.values()):
        raise DataError("prompt and completions must be of one kind, all texts or all messages")
    if not isinstance(text, str) and text[-1]["role"] == "assistant":
        raise FieldError("prompt", "ends with the assistant's turn, so that nothing is to be said")
    name, group = fields.name(values, "id"), fields.name(values, "group")
    return Row(name, group, text, completions, target, weight, facts=facts, **more)
