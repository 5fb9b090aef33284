"""How well each labeler works, from all their answers in one pass.

Each figure has an interval; see docs/labeler-quality.md for what they mean, where they
come from, and what they cannot tell. Raters are indices from 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from feedback.statistics.arrays import Booleans, Floats, Integers
from feedback.statistics.consensus import (
    Agreement,
    Comparisons,
    agreement,
    signs_of,
    with_the_others,
)
from feedback.statistics.intervals import Figures, Spread, clustered_shares, medians
from feedback.statistics.straight_lines import Presses, StraightLines, straight_lines

NO_INTEGERS = np.zeros(0, dtype=np.int64)
NO_FLOATS = np.zeros(0)
BOTH_BAD = 7  # beside the seven strengths


@dataclass(frozen=True)
class AnswerTable:
    """Answers for one kind and criterion; columns are [answers].

    `value` is as in a VoteTable, in canonical order; `shown` is the same in the order in which
    the labeler saw the responses, so that a positive strength favours what was shown first.
    `moment` puts one labeler's answers in order. `weight` is the policy's.
    """

    kind: str
    item: Integers
    prompt: Integers
    rater: Integers
    value: Floats
    shown: Floats
    both_bad: Booleans
    moment: Integers
    weight: Floats


@dataclass(frozen=True)
class ProbeTable:
    """Items that somebody answered twice, for one kind and criterion; columns are [probes].

    `was_swapped`: the other response was shown first the second time.
    """

    kind: str
    item: Integers
    rater: Integers
    first: Floats
    second: Floats
    was_swapped: Booleans


@dataclass(frozen=True)
class Work:
    """What the labelers of a project did.

    `gold_*` are [answers to gold items], `timed_rater` and `seconds` [answers that were timed];
    `skipped` and `offered` count items [raters], for those who could skip.
    """

    raters: int
    answers: Sequence[AnswerTable] = ()
    probes: Sequence[ProbeTable] = ()
    gold_rater: Integers = field(default_factory=lambda: NO_INTEGERS)
    gold_prompt: Integers = field(default_factory=lambda: NO_INTEGERS)
    gold_right: Floats = field(default_factory=lambda: NO_FLOATS)
    timed_rater: Integers = field(default_factory=lambda: NO_INTEGERS)
    seconds: Floats = field(default_factory=lambda: NO_FLOATS)
    skipped: Integers = field(default_factory=lambda: NO_INTEGERS)
    offered: Integers = field(default_factory=lambda: NO_INTEGERS)


@dataclass(frozen=True)
class Quality:
    """The figures of all raters of a project."""

    gold: Figures
    others: Agreement
    first_side: Figures
    ties: Figures
    both_bad: Figures
    ups: Figures
    same_again: Agreement
    flips: Figures
    seconds: Spread
    skips: Figures
    lines: StraightLines


def labeler_quality(work: Work) -> Quality:
    """Compute every figure of every rater."""
    raters = work.raters
    same_again = [probe_comparisons(table) for table in work.probes]
    pairs = [table for table in work.answers if table.kind == "pairwise"]
    thumbs = [table for table in work.answers if table.kind == "thumbs"]
    return Quality(
        gold=clustered_shares(work.gold_rater, work.gold_prompt, work.gold_right, raters=raters),
        others=agreement(consensus_of(work.answers), raters=raters),
        first_side=first_side(work.answers, raters=raters),
        ties=_rates(pairs, raters, [table.value == 0 for table in pairs]),
        both_bad=_rates(pairs, raters, [table.both_bad for table in pairs]),
        ups=_rates(thumbs, raters, [table.value > 0 for table in thumbs]),
        same_again=agreement(Comparisons.joined(same_again), raters=raters),
        flips=_flips(work.probes, raters),
        seconds=medians(work.timed_rater, work.seconds, raters=raters),
        skips=_skips(work),
        lines=straight_lines([_sequence(table) for table in work.answers], raters=raters),
    )


def consensus_of(tables: Sequence[AnswerTable]) -> Comparisons:
    """Each answer beside the plurality of the others', prompt by prompt."""
    return Comparisons.joined([
        with_the_others(
            table.item, table.rater, table.prompt, table.value, table.weight,
            is_thumbs=table.kind == "thumbs",
        )
        for table in tables
    ])  # fmt: skip


def first_side(tables: Sequence[AnswerTable], *, raters: int) -> Figures:
    """Of the answers that prefer one response, the share that prefers the one shown first.

    A list counts once: the share of its decided pairs in which the earlier shown stands higher.
    Sides are drawn by lot for each item, so items are the clusters.
    """
    parts = [_first_of(table) for table in tables if table.kind != "thumbs"]
    rater, item, hit, weight = _stacked(parts)
    return clustered_shares(rater, item, hit, raters=raters, weight=weight)


def _first_of(table: AnswerTable) -> tuple[Integers, Integers, Floats, Floats]:
    row, _, category = signs_of(table.shown, is_thumbs=False)
    decided = category != 1
    row, hit = row[decided], (category[decided] == 2).astype(np.float64)
    weight = 1 / np.bincount(row, minlength=len(table.item))[row]
    return table.rater[row], table.item[row], hit, weight


def _stacked(
    parts: Sequence[tuple[Integers, Integers, Floats, Floats]],
) -> tuple[Integers, Integers, Floats, Floats]:
    if not parts:
        return NO_INTEGERS, NO_INTEGERS, NO_FLOATS, NO_FLOATS
    rater, cluster, hit, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return rater, cluster, hit, weight


def _rates(tables: Sequence[AnswerTable], raters: int, marked: Sequence[Booleans]) -> Figures:
    """The share of marked answers."""
    parts = [
        (table.rater, table.item, hit.astype(np.float64), np.ones(len(table.item)))
        for table, hit in zip(tables, marked, strict=True)
    ]
    rater, item, hit, weight = _stacked(parts)
    return clustered_shares(rater, item, hit, raters=raters, weight=weight)


def _skips(work: Work) -> Figures:
    """Of the items that a rater answered or skipped, those skipped."""
    rater = np.repeat(np.arange(len(work.offered)), work.offered)
    place = np.arange(len(rater))
    nth = place - np.repeat(np.cumsum(work.offered) - work.offered, work.offered)
    hit = (nth < np.repeat(work.skipped, work.offered)).astype(np.float64)
    return clustered_shares(rater, place, hit, raters=work.raters)


def probe_comparisons(table: ProbeTable) -> Comparisons:
    """Each second answer beside the first one."""
    row, _, before = signs_of(table.first, is_thumbs=table.kind == "thumbs")
    _, _, after = signs_of(table.second, is_thumbs=table.kind == "thumbs")
    weight = 1 / np.bincount(row, minlength=len(table.item))[row]
    stratum = np.zeros(len(row), dtype=np.int64)
    return Comparisons(table.rater[row], table.item[row], after, before, weight, stratum)


def _flips(tables: Sequence[ProbeTable], raters: int) -> Figures:
    """Of the pairs preferred twice with sides swapped, the share where the side was kept and
    the response was not: who answers by side flips always, who answers by content never."""
    parts = []
    for table in tables:
        if table.kind == "pairwise":
            decided = (table.first != 0) & (table.second != 0) & table.was_swapped
            flipped = (np.sign(table.first) != np.sign(table.second)).astype(np.float64)
            rows = table.rater[decided], table.item[decided], flipped[decided]
            parts.append((*rows, np.ones(int(decided.sum()))))
    rater, item, hit, weight = _stacked(parts)
    return clustered_shares(rater, item, hit, raters=raters, weight=weight)


def _sequence(table: AnswerTable) -> Presses:
    """The answers as the labeler pressed them, each a number."""
    if table.kind == "listwise":
        places = 10 ** np.arange(table.shown.shape[1])
        answer = (np.nan_to_num(table.shown) * places).sum(axis=1)
    elif table.kind == "thumbs":
        answer = table.shown
    else:
        answer = np.where(table.both_bad, BOTH_BAD, table.shown)
    return Presses(table.rater, answer.astype(np.int64), table.moment)
