"""Why the judgments on an item differ, in words. All in the order in which the reviewer sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from annotation.answers import AnswerValue

# Who answers in less has hardly read.
FAST_MS = 3_000


@dataclass(frozen=True)
class Habit:
    """How often an annotator prefers what is shown first, over their answers in the project."""

    first: int
    answers: int
    low: float
    high: float

    @property
    def is_bias(self) -> bool:
        return self.low > 0.5 or self.high < 0.5


@dataclass(frozen=True)
class Vote:
    """`shown_first`: which response, in the reviewer's order, this annotator saw first."""

    number: int
    value: AnswerValue
    is_judge: bool
    protocol: int
    shown_first: int
    active_ms: int | None = None
    habit: Habit | None = None


def causes(votes: Sequence[Vote]) -> list[str]:
    """Sentences, the plainest first: what was answered, then what may have made it so."""
    found = [*_tally(votes), *_judges(votes), *_guidelines(votes), *_sides(votes)]
    return [*found, *_habits(votes), *_haste(votes)]


def direction(value: AnswerValue) -> str:
    """What an answer comes to where its strength does not matter."""
    if value.strength is not None:
        return _side_of(value.strength) or "tie"
    if value.ranks is not None:
        best = [f"Response {place + 1}" for place, rank in enumerate(value.ranks) if rank == 1]
        return " and ".join(best)
    return "good" if value.thumb else "bad"


def _side_of(strength: int) -> str:
    return "" if strength == 0 else f"Response {1 if strength > 0 else 2}"


def _tally(votes: Sequence[Vote]) -> Iterator[str]:
    if not votes:
        return
    kind = votes[0].value
    describe = _thumbs if kind.thumb is not None else _lists if kind.ranks else _pairs
    yield describe(votes)


def _thumbs(votes: Sequence[Vote]) -> str:
    good = sum(bool(vote.value.thumb) for vote in votes)
    return f"{good} of {len(votes)} found it good, {len(votes) - good} found it bad."


def _pairs(votes: Sequence[Vote]) -> str:
    parts: list[str] = []
    for side in ("Response 1", "Response 2"):
        for_it = [vote.value for vote in votes if direction(vote.value) == side]
        strengths = [abs(value.strength or 0) for value in for_it]
        if strengths:
            much = sum(one == 3 for one in strengths)
            slightly = sum(one == 1 for one in strengths)
            extras = [f"{n} {word}" for n, word in ((much, "much"), (slightly, "slightly")) if n]
            verb = "prefers" if len(strengths) == 1 else "prefer"
            of = "" if parts else f" of {len(votes)}"
            words = f"{len(strengths)}{of} {verb} {side}"
            parts.append(words + (f" ({', '.join(extras)})" if extras else ""))
    ties = [vote.value.both_bad for vote in votes if vote.value.strength == 0]
    if ties:
        bad = f" ({sum(ties)} both bad)" if any(ties) else ""
        parts.append(f"{len(ties)} {'sees' if len(ties) == 1 else 'see'} a tie{bad}")
    return "; ".join(parts) + "."


def _lists(votes: Sequence[Vote]) -> str:
    ranks = [vote.value.ranks or () for vote in votes]
    pairs = list(combinations(range(len(ranks[0])), 2))
    apart = [pair for pair in pairs if len({_order(one, pair) for one in ranks}) > 1]
    best = Counter(direction(vote.value) for vote in votes).most_common()
    words = f"They order {len(pairs) - len(apart)} of {len(pairs)} pairs of responses alike."
    if len(best) == 1:
        return f"{words} All put {best[0][0]} first."
    return f"{words} Best is " + ", ".join(f"{name} for {n}" for name, n in best) + "."


def _order(ranks: Sequence[int], pair: tuple[int, int]) -> int:
    first, second = ranks[pair[0]], ranks[pair[1]]
    return (first > second) - (first < second)


def _judges(votes: Sequence[Vote]) -> Iterator[str]:
    people, judges = (
        Counter(direction(vote.value) for vote in votes if vote.is_judge is side)
        for side in (False, True)
    )
    if people and judges and not set(people) & set(judges):
        say = _is_better if votes[0].value.strength is not None else _is_best
        answered, said = (" or ".join(map(say, side)) for side in (people, judges))
        yield f"People say {answered}; judges that are models say {said}."


def _is_better(side: str) -> str:
    return "it is a tie" if side == "tie" else f"{side} is better"


def _is_best(best: str) -> str:
    return f"{best} is best" if best.startswith("Response") else best


def _guidelines(votes: Sequence[Vote]) -> Iterator[str]:
    versions: dict[int, list[int]] = {}
    for vote in votes:
        versions.setdefault(vote.protocol, []).append(vote.number)
    if len(versions) > 1:
        parts = [
            f"{_annotators(numbers)} judged under version {version} of the guidelines"
            for version, numbers in versions.items()
        ]
        sentence = ", ".join(parts)
        yield f"{sentence[0].upper()}{sentence[1:]}."


def _annotators(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"annotator {numbers[0]}"
    return "annotators " + ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"


def _sides(votes: Sequence[Vote]) -> Iterator[str]:
    """Everybody chose by place: the order may have spoken, not the texts."""
    # A judge sees both orders.
    chosen = [vote for vote in votes if vote.value.strength and not vote.is_judge]
    if len(chosen) < 2 or len({vote.shown_first for vote in chosen}) < 2:
        return
    first = {direction(vote.value) == f"Response {vote.shown_first + 1}" for vote in chosen}
    if len(first) == 1:
        place = "first" if first.pop() else "second"
        words = f"Each preferred the response that stood {place} for them"
        yield f"{words}: the place may have decided."


def _habits(votes: Sequence[Vote]) -> Iterator[str]:
    for vote in votes:
        habit = vote.habit
        if habit is None or not habit.is_bias:
            continue
        share = habit.first / habit.answers
        place, part = ("first", share) if share > 0.5 else ("second", 1 - share)
        low, high = (habit.low, habit.high) if share > 0.5 else (1 - habit.high, 1 - habit.low)
        yield (
            (
                f"Annotator {vote.number} prefers the side shown {place} in {part:.0%} of "
                f"{habit.answers} answers here (95 % interval {low:.0%} to {high:.0%})."
            )
            .replace("%", " %")
            .replace("  %", " %")
        )


def _haste(votes: Sequence[Vote]) -> Iterator[str]:
    fast = [
        vote.number for vote in votes if vote.active_ms is not None and vote.active_ms < FAST_MS
    ]
    if fast:
        yield f"{_annotators(fast).capitalize()} answered within {FAST_MS // 1000} seconds."
