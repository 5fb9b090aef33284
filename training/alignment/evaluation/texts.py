"""How varied texts are. Pure functions of lists of tokens."""

from collections.abc import Hashable, Sequence


def distinct(tokens: Sequence[Hashable], n: int) -> float:
    """Different n-grams over all n-grams of one text, in (0, 1]; NaN when it has none.

    distinct-n of Li et al. 2016 (arXiv 1510.03055, section 5.3), of one text at a time, because
    over many texts it falls with their number alone.
    """
    grams = ngrams(tokens, n)
    return len(set(grams)) / len(grams) if grams else float("nan")


def repetition(tokens: Sequence[Hashable], n: int = 4) -> float:
    """Share of n-grams that the text has said before, 1 - distinct-n; 0 where it is too short."""
    grams = ngrams(tokens, n)
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


def alike(texts: Sequence[Sequence[Hashable]], n: int = 2) -> float:
    """Mean share of a text's n-grams that another of the texts has as well, in [0, 1].

    A policy that has collapsed answers every prompt alike: near 1. NaN under two texts.
    """
    grams = [set(ngrams(text, n)) for text in texts]
    shares = [
        len(own & set().union(*grams[:place], *grams[place + 1 :])) / len(own)
        for place, own in enumerate(grams)
        if own
    ]
    return sum(shares) / len(shares) if len(shares) > 1 else float("nan")


def ngrams(tokens: Sequence[Hashable], n: int) -> list[tuple[Hashable, ...]]:
    """All runs of n tokens in order."""
    return [tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1)]
