"""Draws a run's curves."""

from __future__ import annotations

from typing import Any

from training.selectors.run import Plot, Points


def draw(plot: Plot, points: dict[str, Points]) -> Any:
    return None
