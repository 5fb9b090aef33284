"""Figures of labelers as plain values, for pages, files and keeping."""

from __future__ import annotations

from typing import Any

import numpy as np

from feedback.selectors.quality import Loaded
from feedback.statistics.arrays import Floats
from feedback.statistics.intervals import LEVEL, MINIMUM_ANSWERS, Figures
from feedback.statistics.labeler_quality import Quality, labeler_quality

# The shares of a labeler, in the order of tables and files.
NAMES = {
    "gold": "Right on gold",
    "agreement": "Agrees with the others",
    "kappa": "Agrees beyond chance (kappa)",
    "opposed": "Prefers the opposite",
    "first_side": "Prefers what is shown first",
    "same_again": "Same answer again",
    "flips": "Keeps the side when swapped",
    "seconds": "Seconds an answer, median",
    "skips": "Skips",
    "ties": "Ties",
    "both_bad": "Both bad",
    "ups": "Thumbs up",
    "same_answer": "Most frequent answer by side",
}


def records_of(loaded: Loaded) -> dict[str, Any]:
    """`labelers`: one record each; `group`: what the middle one of them does."""
    quality = labeler_quality(loaded.work)
    labelers = [
        {
            "annotator": annotator,
            "answers": int(loaded.answered[rater]),
            "skipped": int(loaded.skipped[rater]),
            "figures": figures_of(quality, rater),
        }
        for rater, annotator in enumerate(loaded.annotators)
    ]
    return {
        "level": LEVEL,
        "minimum": MINIMUM_ANSWERS,
        "answers": int(loaded.answered.sum()),
        "group": {
            "seconds": _middle(quality.seconds.median.value),
            "first_side": _middle(quality.first_side.value),
        },
        "labelers": labelers,
    }


def figures_of(quality: Quality, rater: int) -> dict[str, Any]:
    """By the keys of NAMES; a figure that cannot be given is null, with what there is of data."""
    return {
        "gold": _figure(quality.gold, rater),
        "agreement": {
            **_figure(quality.others.share, rater),
            "chance": _number(quality.others.chance[rater]),
        },
        "kappa": _figure(quality.others.kappa, rater),
        "opposed": _figure(quality.others.opposed, rater),
        "first_side": _figure(quality.first_side, rater),
        "same_again": {
            **_figure(quality.same_again.share, rater),
            "chance": _number(quality.same_again.chance[rater]),
        },
        "flips": _figure(quality.flips, rater),
        "seconds": {
            **_figure(quality.seconds.median, rater),
            "lower_quartile": _number(quality.seconds.lower_quartile[rater]),
            "upper_quartile": _number(quality.seconds.upper_quartile[rater]),
        },
        "skips": _figure(quality.skips, rater),
        "ties": _figure(quality.ties, rater),
        "both_bad": _figure(quality.both_bad, rater),
        "ups": _figure(quality.ups, rater),
        "same_answer": {
            **_figure(quality.lines.share, rater),
            "others": _number(quality.lines.others[rater]),
            "run": int(quality.lines.run[rater]),
            "run_chance": _number(quality.lines.chance[rater]),
        },
    }


def _figure(figures: Figures, rater: int) -> dict[str, Any]:
    return {
        "value": _number(figures.value[rater]),
        "low": _number(figures.low[rater]),
        "high": _number(figures.high[rater]),
        "answers": round(float(figures.answers[rater])),
        "clusters": int(figures.clusters[rater]),
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def _middle(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return _number(float(np.median(known))) if len(known) else None
