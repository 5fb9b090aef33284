"""From numbers to answers: probabilities and scores become strengths, ranks and thumbs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

# How a plain "better" is stored, where nobody says how much.
PICKED = 2
_EQUAL = 1e-9


def sign(value: float) -> int:
    return (value > _EQUAL) - (value < -_EQUAL)


def strength_of_probability(first: float, tie_band: float) -> int:
    """-3…3 from P(position 0 is better): a tie within `tie_band` of one half, else 1 below 0.7,
    2 below 0.9, 3 from there on (and mirrored)."""
    lead = abs(first - 0.5)
    if lead <= tie_band + _EQUAL:
        return 0
    steps = 1 + (lead >= 0.2 - _EQUAL) + (lead >= 0.4 - _EQUAL)
    return steps * sign(first - 0.5)


def strength_of_labels(first: float, tie: float, tie_band: float) -> int:
    """As strength_of_probability, and a tie too where `tie`, P of a tie label, is above both
    P(a response is named): `first` has half of `tie` in it."""
    named = max(first, 1.0 - first) - tie / 2
    return 0 if tie > named + _EQUAL else strength_of_probability(first, tie_band)


def strength_of_scores(first: float, second: float, scale: tuple[int, int]) -> int:
    """-3…3 from the difference as a share of the scale: 0 when equal, 1 up to a quarter of the
    scale (one point of 1–5), 2 up to a half, 3 beyond."""
    share = (first - second) / (scale[1] - scale[0])
    if abs(share) <= _EQUAL:
        return 0
    return sign(share) * (1 + (abs(share) > 0.25 + _EQUAL) + (abs(share) > 0.5 + _EQUAL))


def ranks_of(values: Sequence[float]) -> tuple[int, ...]:
    """Dense ranks, 1 = the highest; values that differ by rounding alone share one."""
    ordered = sorted(values, reverse=True)
    places = [1]
    for before, value in itertools.pairwise(ordered):
        places.append(places[-1] + (before - value > _EQUAL))
    by_value = dict(zip(reversed(ordered), reversed(places), strict=True))
    return tuple(by_value[value] for value in values)


def ahead(values: Sequence[float]) -> tuple[float, ...]:
    """1, ½ or 0 for each pair i < j of combinations: whether i has more than j."""
    return tuple(
        (1 + sign(values[i] - values[j])) / 2
        for i, j in itertools.combinations(range(len(values)), 2)
    )


Distribution = Mapping[float, float]


def chance_ahead(first: Distribution, second: Distribution) -> float:
    """P(a score of the first is above one of the second) + ½ P(equal), drawn apart."""
    return sum(p * q * (1 + sign(x - y)) / 2 for x, p in first.items() for y, q in second.items())
