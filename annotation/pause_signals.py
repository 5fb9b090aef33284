"""What a pause rule looks at, as numbers and in words. Pure: no rows are read here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from annotation.models import PauseRule

Signal = PauseRule.Signal


@dataclass(frozen=True)
class Measured:
    """`value` is a share or seconds, over `looked_at` judgments; None where there are none."""

    signal: str
    value: float | None = None
    looked_at: int = 0
    hits: int = 0


def gold_accuracy(agreed: Sequence[bool]) -> Measured:
    return _share(Signal.GOLD_ACCURACY, sum(agreed), len(agreed))


def speed(milliseconds: Sequence[int]) -> Measured:
    if not milliseconds:
        return Measured(Signal.SPEED)
    return Measured(Signal.SPEED, median(milliseconds) / 1000, len(milliseconds))


def straight_lining(answers: Iterable[tuple[str, Hashable]]) -> Measured:
    """Pairs of a kind and an answer as it stood on the screen.

    In each kind the most frequent answer counts, so that somebody who always takes the left of
    two and the order as shown of several is found, however the kinds are mixed.
    """
    kinds: dict[str, Counter[Hashable]] = {}
    for kind, answer in answers:
        kinds.setdefault(kind, Counter())[answer] += 1
    same = sum(max(counts.values()) for counts in kinds.values())
    return _share(Signal.STRAIGHT_LINING, same, sum(map(Counter.total, kinds.values())))


def _share(signal: Signal, hits: int, looked_at: int) -> Measured:
    return Measured(signal, hits / looked_at if looked_at else None, looked_at, hits)


def breaks(rule: PauseRule, measured: Measured) -> bool:
    """Never on fewer judgments than the rule's window."""
    if measured.value is None or measured.looked_at < rule.window:
        return False
    if rule.signal == Signal.STRAIGHT_LINING:
        return measured.value > rule.threshold
    return measured.value < rule.threshold


def in_words(measured: Measured) -> str:
    """“Agreed with 6 of 20 gold items”; empty where nothing was looked at."""
    if measured.value is None:
        return ""
    if measured.signal == Signal.GOLD_ACCURACY:
        return f"Agreed with {measured.hits} of {measured.looked_at} gold items"
    if measured.signal == Signal.SPEED:
        return (
            f"Took {measured.value:.1f} s or less for half of the last {measured.looked_at} answers"
        )
    return f"Answered {measured.hits} of the last {measured.looked_at} items the same way by side"


def limit_in_words(rule: PauseRule) -> str:
    if rule.signal == Signal.SPEED:
        return f"{rule.threshold:g} s"
    return f"{100 * rule.threshold:.3g} %"


def reason(rule: PauseRule, measured: Measured) -> str:
    """“Agreed with 6 of 20 gold items; the rule asks for 60 %.”"""
    verb = "allows" if rule.signal == Signal.STRAIGHT_LINING else "asks for"
    return f"{in_words(measured)}; the rule {verb} {limit_in_words(rule)}."
