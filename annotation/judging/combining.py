"""All orders and samples of an item become one answer a criterion, by a stated rule."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from annotation.judging.content import PAIRWISE, THUMBS, ItemContent
from annotation.judging.exchange import Chain
from annotation.judging.formats import AGREE, MEAN, TIE
from annotation.judging.outcome import (
    JUDGED,
    UNPARSABLE,
    Combined,
    CombinedCriterion,
    CriterionVerdict,
    Verdict,
)
from annotation.judging.protocol import JudgeSpec
from annotation.judging.scale import (
    PICKED,
    Distribution,
    ahead,
    chance_ahead,
    ranks_of,
    sign,
    strength_of_labels,
    strength_of_scores,
)
from annotation.judging.settings import NO_SOFT_LABELS

# One criterion's verdicts, the samples of each order together.
Groups = list[list[CriterionVerdict]]


def combine(
    spec: JudgeSpec, content: ItemContent, verdicts: Sequence[tuple[Chain, Verdict]]
) -> Combined:
    """One answer a criterion. An order of which no sample could be read makes it unparsable."""
    orders = list(dict.fromkeys(chain.shown_order for chain, _ in verdicts))
    readable = [(chain, one) for chain, one in verdicts if one.outcome == JUDGED]
    by_order = [[one for chain, one in readable if chain.shown_order == order] for order in orders]
    if not by_order or not all(by_order):
        errors = [one.error for _, one in verdicts if one.outcome == UNPARSABLE]
        error = errors[0] if errors else "nothing was asked"
        detail = _detail({}, verdicts, "") | {"error": error}
        return Combined(UNPARSABLE, {}, "", error, detail)
    criteria = {
        criterion.key: _combine(
            spec, content, [[one.criteria[criterion.key] for one in group] for group in by_order]
        )
        for criterion in content.criteria
    }
    reason = next((one.reason for _, one in readable if one.reason), "")
    return Combined(JUDGED, criteria, reason, "", _detail(criteria, verdicts, reason))


def _detail(
    criteria: dict[str, CombinedCriterion],
    verdicts: Sequence[tuple[Chain, Verdict]],
    reason: str,
) -> dict[str, Any]:
    """The shape of JudgeVerdict.detail; raw verdicts are in canonical order."""

    def of(chain: Chain) -> dict[str, Any]:
        return {"shown_order": list(chain.shown_order), "sample": chain.sample}

    unreadable = [
        of(chain) | {"error": one.error} for chain, one in verdicts if one.outcome == UNPARSABLE
    ]
    kept = {
        key: {
            "answer": one.answer,
            "probabilities": _listed(one.probabilities),
            "raw": [
                of(chain) | verdict.criteria[key].to_json()
                for chain, verdict in verdicts
                if verdict.outcome == JUDGED
            ],
            "consistent": one.consistent,
            "scores": _listed(one.scores),
        }
        for key, one in criteria.items()
    }
    return {"criteria": kept, "reason": reason} | ({"unreadable": unreadable} if unreadable else {})


def _listed(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else list(values)


def _combine(spec: JudgeSpec, content: ItemContent, groups: Groups) -> CombinedCriterion:
    if spec.format.is_score:
        combined = _of_scores(spec, content, groups)
    elif spec.format.is_ranking:
        combined = _of_ranks(groups)
    elif content.kind == THUMBS:
        combined = _of_thumbs(groups)
    else:
        combined = _of_pairs(spec, groups)
    if spec.settings.soft_labels == NO_SOFT_LABELS:
        combined = replace(combined, probabilities=None)
    if content.picks and combined.strength is not None:
        combined = replace(combined, strength=PICKED * sign(combined.strength))
    return combined


def _of_pairs(spec: JudgeSpec, groups: Groups) -> CombinedCriterion:
    """agree: a win in every order, by the smaller strength, else a tie; average: of P(first),
    each order as much as the other; mean: of the strengths, a half going to the tie's side.
    Where labels are read, an order's strength under agree is that of its P(first)."""
    firsts, ties = _by_order(groups, _first), _by_order(groups, _tie)
    first, band = fmean(firsts), spec.settings.tie_band
    strengths = _by_order(groups, lambda one: one.strength or 0)
    if spec.by_labels and spec.rule == AGREE:
        pairs = zip(firsts, ties, strict=True)
        strengths = [strength_of_labels(each, tie, band) for each, tie in pairs]
    signs = {sign(strength) for strength in strengths}
    if spec.rule not in (AGREE, MEAN):
        strength = strength_of_labels(first, fmean(ties), band)
        signs = {sign(each - 0.5) for each in firsts}
    elif spec.rule == MEAN:
        strength = _toward_tie(fmean(strengths))
    else:
        weakest = min(strengths, key=abs) if len(signs) == 1 else 0.0
        # A win by most samples of each order is a win, if a faint one.
        strength = _toward_tie(weakest) or sign(weakest)
    return CombinedCriterion(
        strength=strength, probabilities=(first,), consistent=_consistent(groups, len(signs) <= 1)
    )


def _by_order(groups: Groups, value: Callable[[CriterionVerdict], float]) -> list[float]:
    """The mean of each order's samples."""
    return [fmean(value(one) for one in group) for group in groups]


def _tie(one: CriterionVerdict) -> float:
    """P of the tie label, where labels are read."""
    return one.labels.get(TIE, 0.0) if one.labels else 0.0


def _first(one: CriterionVerdict) -> float:
    """P(position 0 is better) of one chain: 1, ½ or 0 without log-probabilities."""
    return one.probabilities[0] if one.probabilities else (1 + sign(one.strength or 0)) / 2


def _toward_tie(strength: float) -> int:
    """To the nearest step; 1.5 is 1, −0.5 is 0."""
    size = abs(strength)
    return sign(strength) * (int(size) + (size - int(size) > 0.5))


def _consistent(groups: Groups, same: bool) -> bool | None:
    return same if len(groups) > 1 else None


def _of_thumbs(groups: Groups) -> CombinedCriterion:
    """Good when P(good), or the share of samples that say so, is more than one half."""
    up = fmean(
        one.probabilities[0] if one.probabilities else float(one.thumb or 0) for one in groups[0]
    )
    return CombinedCriterion(thumb=int(up > 0.5), probabilities=(up,))


def _of_ranks(groups: Groups) -> CombinedCriterion:
    """By the mean rank over the orders; equal means share a place."""
    by_order = [_mean_ranks(group) for group in groups]
    means = [fmean(column) for column in zip(*by_order, strict=True)]
    wins = [
        [fmean(pair) for pair in zip(*[ahead(_lead(one)) for one in group], strict=True)]
        for group in groups
    ]
    probabilities = tuple(fmean(pair) for pair in zip(*wins, strict=True))
    said = {ranks_of([-mean for mean in order]) for order in by_order}
    return CombinedCriterion(
        ranks=ranks_of([-mean for mean in means]),
        probabilities=probabilities,
        consistent=_consistent(groups, len(said) == 1),
    )


def _lead(one: CriterionVerdict) -> list[float]:
    return [-float(rank) for rank in one.ranks or ()]


def _mean_ranks(group: Sequence[CriterionVerdict]) -> list[float]:
    return [fmean(column) for column in zip(*(one.ranks or () for one in group), strict=True)]


def _of_scores(spec: JudgeSpec, content: ItemContent, groups: Groups) -> CombinedCriterion:
    """By the mean score of each response; a comparison is made of the means, equal ones tie."""
    assert spec.format.scale is not None  # noqa: S101  # only scores come here
    low, high = spec.format.scale
    by_order = [_mean_scores(group) for group in groups]
    scores = tuple(
        fmean(score for score in column if score is not None)
        for column in zip(*by_order, strict=True)
    )
    if content.kind == THUMBS:
        threshold = spec.settings.threshold
        above = threshold if threshold is not None else (low + high) / 2
        up = fmean(_share_above(_distribution(one, 0), above) for one in groups[0])
        return CombinedCriterion(thumb=int(scores[0] > above), probabilities=(up,), scores=scores)
    if content.kind == PAIRWISE:
        combined = CombinedCriterion(strength=strength_of_scores(scores[0], scores[1], (low, high)))
    else:
        combined = CombinedCriterion(ranks=ranks_of(scores))
    return replace(
        combined,
        scores=scores,
        probabilities=_score_probabilities(spec, groups, len(scores)),
        consistent=_same_order(by_order),
    )


def _mean_scores(group: Sequence[CriterionVerdict]) -> list[float | None]:
    """Of each response over an order's samples; None for those that it does not show."""
    columns = zip(*(one.scores or () for one in group), strict=True)
    return [
        None if column[0] is None else fmean(score or 0.0 for score in column) for column in columns
    ]


def _same_order(by_order: Sequence[Sequence[float | None]]) -> bool | None:
    """Whether every order puts the responses alike; None where each was scored alone."""
    whole = [[score for score in order if score is not None] for order in by_order]
    if len(whole) == 1 or len(whole[0]) < len(by_order[0]):
        return None
    return len({ranks_of(order) for order in whole}) == 1


def _distribution(one: CriterionVerdict, position: int) -> Distribution:
    """Of the score of one response: of its labels, or all on the score that was given."""
    if one.labels is not None:
        return {float(label): p for label, p in one.labels.items()}
    assert one.scores is not None  # noqa: S101  # only scores come here
    score = one.scores[position]
    return {} if score is None else {score: 1.0}


def _share_above(scores: Distribution, threshold: float) -> float:
    return sum(p for score, p in scores.items() if score > threshold)


def _score_probabilities(spec: JudgeSpec, groups: Groups, size: int) -> tuple[float, ...]:
    """P(i before j) for each pair: of scores drawn apart, or of those given in one reply."""
    if spec.texts.one_by_one:
        pooled = [_pooled(group, position) for position, group in enumerate(groups)]
        pairs = itertools.combinations(range(size), 2)
        return tuple(chance_ahead(pooled[i], pooled[j]) for i, j in pairs)
    by_order = [
        [fmean(pair) for pair in zip(*[ahead(_given(one)) for one in group], strict=True)]
        for group in groups
    ]
    return tuple(fmean(pair) for pair in zip(*by_order, strict=True))


def _pooled(group: Sequence[CriterionVerdict], position: int) -> Distribution:
    pooled: dict[float, float] = {}
    for one in group:
        for score, p in _distribution(one, position).items():
            pooled[score] = pooled.get(score, 0.0) + p / len(group)
    return pooled


def _given(one: CriterionVerdict) -> list[float]:
    return [score for score in one.scores or () if score is not None]
