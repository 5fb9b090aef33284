"""The one way in which a call fails."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "refused",  # the key, or the address itself: the next call will fare no better
    "rejected",  # this request, for good: 400, 404, 422, a content filter
    "unreachable",  # no connection, or one that broke
    "timeout",
    "server",  # 5xx to the last
    "limited",  # 429 to the last, or for longer than anybody waits
    "malformed",  # no JSON, or no answer in it
]

# Trouble of the endpoint or the way there, whatever was asked.
OF_THE_ENDPOINT = frozenset({"refused", "unreachable", "timeout", "server", "limited"})


class CallFailed(Exception):
    """`may_have_cost`: it reached the model, or may have; `tries` were sent.

    `may_repeat`: the client leaves it to its caller, who pays for it, to ask once more.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        status: int | None = None,
        may_have_cost: bool = False,
        may_repeat: bool = False,
        tries: int = 1,
    ) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.message = message
        self.status = status
        self.may_have_cost = may_have_cost
        self.may_repeat = may_repeat
        self.tries = tries
