"""Constrained answers: one of a few texts, token by token."""

from collections.abc import Iterable, Sequence


class Choices:
    """The token sequences of which an answer must be one.

    A choice that begins another (A, AB) is closed by the end token, as the model would close it;
    any other ends with its last token.
    """

    def __init__(self, sequences: Iterable[Sequence[int]], end: int) -> None:
        written = {tuple(int(token) for token in sequence) for sequence in sequences}
        if not written or () in written:
            raise ValueError("every choice must be written with at least one token")
        self._next: dict[tuple[int, ...], set[int]] = {}
        for sequence in written:
            for place, token in enumerate(sequence):
                self._next.setdefault(sequence[:place], set()).add(token)
        for sequence in written & self._next.keys():
            self._next[sequence].add(end)

    def allowed(self, tokens: Sequence[int]) -> Sequence[int]:
        """The tokens that may follow; none when the choice is made."""
        return sorted(self._next.get(tuple(tokens), ()))
