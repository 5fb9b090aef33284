"""An evaluation's figures in words and numbers, as the library wrote them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    label: str
    value: str
    interval: str
    note: str


@dataclass(frozen=True)
class Evaluated:
    """`is_clear`: the interval of the held-out accuracy lies above one half."""

    sentence: str
    is_clear: bool
    figures: list[Figure]
    kl: dict[str, Any]

    @property
    def has_intervals(self) -> bool:
        return any(figure.interval for figure in self.figures)


def evaluated(figures: dict[str, Any]) -> Evaluated:
    low = figures.get("held_out", {}).get("accuracy", {}).get("low")
    return Evaluated(
        sentence=_sentence(figures),
        is_clear=low is not None and low > 0.5,
        figures=_figures(figures),
        kl=figures.get("kl", {}),
    )


def _sentence(figures: dict[str, Any]) -> str:
    """One sentence on what the training changed, only of figures that are there."""
    held_out = figures.get("held_out")
    if not held_out:
        return "Nothing was evaluated: the run had no held-out data."
    accuracy = held_out["accuracy"]
    parts = [
        f"On {held_out['examples']} held-out examples the new model sides with the judges in "
        f"{_percent(accuracy)} of cases{_interval(accuracy)}, where 50 % is what it began from"
    ]
    if length := _length_words(figures.get("length", {})):
        parts.append(length)
    return "; ".join(parts) + "."


def _length_words(length: dict[str, Any]) -> str:
    """What lengths tell, unless sampling cut most answers off at the same place."""
    difference = length.get("difference", {}).get("value")
    if difference is None:
        return ""
    if 2 * max(length.get("cut_before", 0), length.get("cut_after", 0)) > length.get("prompts", 0):
        return (
            f"most sampled answers were cut off at {length['max_new_tokens']} tokens, so their "
            "lengths tell nothing"
        )
    if abs(difference) < 0.5:
        return "its answers are as long as before"
    direction = "longer" if difference > 0 else "shorter"
    return f"its answers are {abs(difference):.0f} tokens {direction}"


def _percent(figure: dict[str, Any]) -> str:
    return f"{100 * figure['value']:.0f} %" if figure["value"] is not None else "–"


def _interval(figure: dict[str, Any]) -> str:
    if figure["low"] is None:
        return " (too few prompts for an interval)"
    return f" ({100 * figure['low']:.0f} to {100 * figure['high']:.0f})"


def _figures(figures: dict[str, Any]) -> list[Figure]:
    """The numbers that are there; an interval may be missing, for want of prompts."""
    held_out, kl, length = (figures.get(name, {}) for name in ("held_out", "kl", "length"))
    rows = [
        ("Held-out accuracy", held_out.get("accuracy"), "{:.2f}", ""),
        ("Reward margin", held_out.get("reward_margin"), "{:.3f}", "against the reference"),
        ("Held-out loss", held_out.get("loss"), "{:.4f}", ""),
        ("KL from the reference (k1)", kl.get("k1"), "{:.2f}", kl.get("unit", "")),
        ("KL from the reference (k3)", kl.get("k3"), "{:.2f}", kl.get("unit", "")),
        ("Answer length before", length.get("before"), "{:.0f}", length.get("unit", "")),
        ("Answer length after", length.get("after"), "{:.0f}", length.get("unit", "")),
    ]
    return [
        Figure(label, form.format(figure["value"]), _range(figure, form), note)
        for label, figure, form, note in rows
        if figure and figure["value"] is not None
    ]


def _range(figure: dict[str, Any], form: str) -> str:
    if figure["low"] is None:
        return ""
    return f"{form.format(figure['low'])} to {form.format(figure['high'])}"
