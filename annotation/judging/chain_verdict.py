"""What one chain's replies say, turned from the order shown into the canonical order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from annotation.judging.content import ItemContent
from annotation.judging.exchange import REASON, Chain, Reply, storable
from annotation.judging.formats import LETTERS, TIE, AnswerFormat
from annotation.judging.labels import LabelProbabilities
from annotation.judging.outcome import JUDGED, UNPARSABLE, CriterionVerdict, Verdict
from annotation.judging.parsing import Unreadable, read_reason
from annotation.judging.protocol import JudgeSpec
from annotation.judging.reading import questions, values_of_chain
from annotation.judging.scale import strength_of_labels


def read_chain(
    spec: JudgeSpec, content: ItemContent, chain: Chain, replies: Mapping[str, Reply]
) -> Verdict:
    """The chain's verdict in canonical order; unparsable when neither reply nor repair is read.

    Raises MissingLogprobs where log-probabilities were asked for and not given.
    """
    try:
        values = values_of_chain(spec, content, replies)
    except Unreadable as error:
        return Verdict(UNPARSABLE, error=storable(str(error)))
    size = len(content.responses)
    criteria = {
        key: _verdict(spec.format, value, chain.shown_order, size) for key, value in values.items()
    }
    asked = spec.asked(content)
    if asked != content.criteria:
        mean = _mean_of([criteria[one.key] for one in asked], [one.key for one in asked])
        criteria = {content.criteria[0].key: mean}
    return Verdict(JUDGED, criteria, reason=storable(_reason(spec, content, chain, replies)))


def _verdict(
    answers: AnswerFormat, value: Any, order: Sequence[int], size: int
) -> CriterionVerdict:
    if isinstance(value, LabelProbabilities):
        return _soft(answers, value, order, size)
    if answers.is_ranking:
        return CriterionVerdict(ranks=_canonical(value, order, size))
    if answers.is_score:
        shown = value.values() if isinstance(value, dict) else [value]
        return CriterionVerdict(scores=_canonical([float(one) for one in shown], order, size))
    if not answers.strengths:
        return CriterionVerdict(thumb=int(value == "yes"))
    strength = answers.strengths[answers.labels.index(value)]
    return CriterionVerdict(strength=strength if order[0] == 0 else -strength)


def _canonical(values: Sequence[Any], order: Sequence[int], size: int) -> tuple[Any, ...]:
    """`values[i]` is of the response shown i-th; None for those not shown."""
    placed = dict(zip(order, values, strict=True))
    return tuple(placed.get(position) for position in range(size))


def _soft(
    answers: AnswerFormat, value: LabelProbabilities, order: Sequence[int], size: int
) -> CriterionVerdict:
    labels = dict(zip(answers.labels, value.shares, strict=True))
    if answers.is_score:
        mean = sum(int(label) * p for label, p in labels.items())
        scores = _canonical([mean], order, size)
        return CriterionVerdict(scores=scores, labels=labels, missing=value.missing)
    if not answers.strengths:
        up = labels["yes"]
        return CriterionVerdict(
            thumb=int(up > 0.5), probabilities=(up,), labels=labels, missing=value.missing
        )
    tie = labels.get(TIE, 0.0)
    shown_first = labels["A"] + tie / 2
    first = shown_first if order[0] == 0 else 1.0 - shown_first
    return CriterionVerdict(
        strength=strength_of_labels(first, tie, 0.0),
        probabilities=(first,),
        labels=labels,
        missing=value.missing,
    )


def _mean_of(aspects: Sequence[CriterionVerdict], keys: Sequence[str]) -> CriterionVerdict:
    """The mean of the aspects' scores, and each of them beside it."""
    rows = [one.scores for one in aspects if one.scores is not None]
    means = [
        None if None in column else sum(column) / len(column) for column in zip(*rows, strict=True)
    ]
    return CriterionVerdict(scores=tuple(means), parts=dict(zip(keys, rows, strict=True)))


def _reason(
    spec: JudgeSpec, content: ItemContent, chain: Chain, replies: Mapping[str, Reply]
) -> str:
    """The judge's own words, and what its letters stand for when that is not the stored order."""
    if REASON in replies:
        text = replies[REASON].text.strip()
    elif spec.by_labels:
        return ""
    else:
        question = questions(spec, content)[0]
        reply = replies.get(question.repair) or replies[question.verdict]
        text = read_reason(reply.text) if question.reasoning else ""
    if not text or list(chain.shown_order) == sorted(chain.shown_order):
        return text
    letters = [f"{LETTERS[i]} = response {at + 1}" for i, at in enumerate(chain.shown_order)]
    return f"{text}\n({', '.join(letters)})"
