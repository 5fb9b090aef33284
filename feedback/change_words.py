"""What a change of policy comes to, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.minus import with_minus
from feedback.verdicts import POOLED


def change_words(preview: Mapping[str, Any]) -> str:
    """The sentence above the tables."""
    changed, flips = preview["changed"], preview["flips"]
    if not changed:
        return f"None of {preview['decisions']:,} decisions would change."
    what = "decision" if preview["decisions"] == 1 else "decisions"
    told = f"{changed:,} of {preview['decisions']:,} {what} would change"
    if not flips:
        return f"{told} state; none would flip to another outcome."
    moved = changed - flips
    states = f"{moved:,} in state, and " if moved else ""
    return f"{told}: {states}{flips:,} would flip to another outcome."


def agreement_words(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the table of agreement: each estimate as its value and its interval."""
    is_percent = row["figure"] == "percent"
    return {
        "name": row["name"],
        "figure": f"Percent, ties kept, {POOLED}" if is_percent else "Krippendorff's alpha",
        "before": _estimate(row["before"], is_percent),
        "after": _estimate(row["after"], is_percent),
        "difference": _estimate(row["difference"], is_percent, signed=True),
    }


def _estimate(
    estimate: Mapping[str, Any], is_percent: bool, *, signed: bool = False
) -> tuple[str, str]:
    if estimate["value"] is None:
        return "–", "too little data"
    if signed and not estimate["value"] and not estimate["low"] and not estimate["high"]:
        return "none", ""
    value, low, high = (
        "" if estimate[part] is None else _number(estimate[part], is_percent, signed)
        for part in ("value", "low", "high")
    )
    return value, f"{low} to {high}" if low else ""


def _number(value: float, is_percent: bool, signed: bool) -> str:
    sign = "+" if signed else ""
    written = f"{100 * value:{sign}.1f}" if is_percent else f"{value:{sign}.3f}"
    return with_minus(written)
