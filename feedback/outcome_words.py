"""What an item came to, in words; responses are called A, B, C, … in canonical order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.answer_words import in_words
from annotation.answers import AnswerValue
from feedback.models import Preference


def outcome_words(state: str, outcome: Mapping[str, Any]) -> str:
    """A dash where nothing is decided."""
    if not outcome or state == Preference.State.CONTESTED:
        return "–"
    if "thumb" in outcome:
        return "Good" if outcome["thumb"] else "Bad"
    if "strength" in outcome:
        strength = outcome["strength"]
        if strength == 0:
            return "Both bad" if outcome["both_bad"] else "Tie"
        return f"{'A' if strength > 0 else 'B'} better, by {abs(strength):.1f} of 3"
    ranks = tuple(outcome["ranks"])
    return in_words(AnswerValue(ranks=ranks, acceptable_to=outcome.get("acceptable_to")))
