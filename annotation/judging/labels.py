"""Soft labels: the log-probabilities of label tokens, normalised over the labels alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from annotation.judging.exchange import Reply, TokenLogprobs

TOP_LOGPROBS = 20
# A label that is not listed may be taken for 0 where that moves no probability further than this.
NEGLIGIBLE = 0.01
# What tokenizers write for a space or a line end at the start of a token.
_BLANKS = " \t\r\n\u2581\u0120\u010a"
# Endpoints round; more than this above certainty is no probability.
_ROUNDING = 0.01


class MissingLogprobs(ValueError):
    """The endpoint did not give the log-probabilities that a soft label needs."""


class NoLabel(ValueError):
    """The model would say something else than a label: the reply is unreadable."""


@dataclass(frozen=True)
class LabelProbabilities:
    """P of each label given that one is said, in the labels' order; and P that none is."""

    shares: tuple[float, ...]
    missing: float


def label_probabilities(reply: Reply, labels: Sequence[str]) -> LabelProbabilities:
    """p(label) = sum of exp(logprob) over the tokens that spell it; shares = p / sum of p.

    " A", "A" and "\u2581A" spell the same label, and their probabilities add up; words are
    compared without case. Read at the first token that is not blank. Raises MissingLogprobs where
    the reply has none, or where a label that is not listed could move the shares by more than
    NEGLIGIBLE; NoLabel where no label is listed. (Lee et al. 2023, section 2.1.1.)
    """
    place = _first_spoken(reply)
    listed = _probabilities(place)
    found = [_mass(listed, label) for label in labels]
    total = math.fsum(p for p in found if p is not None)
    if total <= 0.0:
        raise NoLabel(f"none of {', '.join(labels)} is among the likeliest words")
    _check_unlisted(place, listed, found, labels, total)
    shares = tuple((p or 0.0) / total for p in found)
    return LabelProbabilities(shares, missing=max(0.0, 1.0 - total))


def _first_spoken(reply: Reply) -> TokenLogprobs:
    if not reply.tokens:
        raise MissingLogprobs("The reply has no log-probabilities that can be read.")
    for place in reply.tokens:
        if place.token.strip(_BLANKS):
            if not place.top:
                raise MissingLogprobs("The reply lists no likeliest tokens.")
            return place
    raise NoLabel("the reply is empty")


def _probabilities(place: TokenLogprobs) -> dict[str, float]:
    logprobs = dict(place.top)
    # The token that was taken may stand outside the likeliest ones.
    logprobs.setdefault(place.token, place.logprob)
    listed = {token: math.exp(min(1.0, logprob)) for token, logprob in logprobs.items()}
    # A constrained endpoint may tell the taken token's probability among the choices alone.
    if not math.fsum(listed.values()) <= 1.0 + _ROUNDING:
        raise MissingLogprobs("The reply lists numbers that are no log-probabilities.")
    return listed


def _mass(listed: Mapping[str, float], label: str) -> float | None:
    spelled = [p for token, p in listed.items() if _spells(token, label)]
    return math.fsum(spelled) if spelled else None


def _spells(token: str, label: str) -> bool:
    said = token.strip(_BLANKS)
    return said == label or (len(label) > 1 and said.casefold() == label.casefold())


def _check_unlisted(
    place: TokenLogprobs,
    listed: Mapping[str, float],
    found: Sequence[float | None],
    labels: Sequence[str],
    total: float,
) -> None:
    """What is not listed is no likelier than the least that is, nor than all that is left."""
    absent = [label for label, p in zip(labels, found, strict=True) if p is None]
    least = min(math.exp(min(0.0, logprob)) for logprob in place.top.values())
    bound = min(least, max(0.0, 1.0 - math.fsum(listed.values()))) * len(absent)
    if absent and bound > NEGLIGIBLE * (total + bound):
        raise MissingLogprobs(
            f"The reply lists no log-probability of {', '.join(absent)}, which could be as likely "
            f"as {bound:.2g}. Ask for more of the likeliest tokens, or take samples instead."
        )
