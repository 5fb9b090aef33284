"""What a change of policy comes to, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def change_words(preview: Mapping[str, Any]) -> str:
    """The sentence above the tables."""
    changed, flips = preview["changed"], preview["flips"]
    if not changed:
        return f"None of {preview['decisions']:,} decisions would change."
    verb = "decision would" if preview["decisions"] == 1 else "decisions would"
    moved = changed - flips
    parts = []
    if moved:
        parts.append(f"{moved:,} {'changes its' if moved == 1 else 'change their'} state")
    if flips:
        parts.append(f"{flips:,} {'flips' if flips == 1 else 'flip'} to another outcome")
    return f"{changed:,} of {preview['decisions']:,} {verb} change: {' and '.join(parts)}."


def agreement_words(row: Mapping[str, Any]) -> dict[str, str]:
    """One row of the table of agreement."""
    is_percent = row["figure"] == "percent"
    difference = row["difference"]
    return {
        "name": row["name"],
        "figure": "Percent, ties kept" if is_percent else "Krippendorff's alpha",
        "before": _estimate(row["before"], is_percent),
        "after": _estimate(row["after"], is_percent),
        "difference": _estimate(difference, is_percent, signed=True) or difference["reason"],
    }


def _estimate(estimate: Mapping[str, Any], is_percent: bool, *, signed: bool = False) -> str:
    if estimate["value"] is None:
        return "" if signed else "too little data"
    value, low, high = (
        "" if estimate[part] is None else _number(estimate[part], is_percent, signed)
        for part in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})" if low else value


def _number(value: float, is_percent: bool, signed: bool) -> str:
    sign = "+" if signed else ""
    written = f"{100 * value:{sign}.1f}" if is_percent else f"{value:{sign}.3f}"
    return written.replace("-", "\N{MINUS SIGN}")
