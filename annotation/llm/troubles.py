"""What went wrong with one try, and what that means for the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import httpx2
import openai

from annotation.llm import retry
from annotation.llm.errors import CallFailed, Kind
from annotation.llm.replies import Malformed
from core.egress import EgressRefused, ReplyRefused, shown_reply

# 402: no credit left.
ABOUT_THE_KEY = frozenset({401, 402, 403, 407})
NO_CREDIT = "insufficient_quota"
RAISED = (openai.APIError, httpx2.HTTPError, EgressRefused, ReplyRefused, Malformed)
_NO_CONNECTION = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class Trouble:
    """`is_outage`: counts against the endpoint itself, and opens its breaker in the end.

    What may have cost is never sent again by the client: each such request has a row of its own.
    """

    kind: Kind
    message: str
    status: int | None = None
    may_have_cost: bool = False
    may_retry: bool = False
    is_outage: bool = False
    retry_after: float | None = None

    def failure(self, *, tries: int) -> CallFailed:
        return CallFailed(
            self.kind,
            self.message,
            status=self.status,
            may_have_cost=self.may_have_cost,
            may_repeat=self.may_retry and self.may_have_cost,
            tries=tries,
        )


def trouble_of(error: Exception, clean: Callable[[str], str]) -> Trouble:
    """Of one of RAISED; `clean` takes the key out of what an endpoint says."""
    if isinstance(error, openai.APIStatusError):
        return _of_status(error.response, clean(error.response.text))
    if isinstance(error, Malformed):
        return Trouble(
            "malformed", str(error), 200, may_have_cost=True, may_retry=True, is_outage=True
        )
    if isinstance(error, EgressRefused):
        return Trouble("refused", error.message)
    if isinstance(error, ReplyRefused):
        return Trouble("malformed", error.message, may_have_cost=True)
    return _of_connection(error.__cause__ or error)


def _of_connection(cause: BaseException) -> Trouble:
    words = str(cause) or type(cause).__name__
    if isinstance(cause, _NO_CONNECTION):
        return Trouble("unreachable", f"No connection: {words}", may_retry=True, is_outage=True)
    if isinstance(cause, httpx2.TimeoutException):
        return Trouble("timeout", words, may_have_cost=True, may_retry=True, is_outage=True)
    message = f"The connection broke: {words}"
    return Trouble("unreachable", message, may_have_cost=True, may_retry=True, is_outage=True)


def _of_status(response: httpx2.Response, text: str) -> Trouble:
    status = response.status_code
    shown = shown_reply(status, text)
    if status in ABOUT_THE_KEY or (status == 429 and NO_CREDIT in text):
        return Trouble("refused", f"The endpoint refuses the key ({shown}).", status)
    if 300 <= status < 400:
        message = f"It sends us elsewhere ({status}), which is never followed: enter that address."
        return Trouble("refused", message, status)
    if status == 429:
        return Trouble(
            "limited",
            f"Too many calls ({shown}).",
            status,
            may_retry=True,
            retry_after=retry.retry_after(response.headers),
        )
    if retry.may_retry(status):
        return Trouble(
            "server",
            f"The endpoint failed ({shown}).",
            status,
            may_have_cost=status in retry.TIMED_OUT,
            may_retry=True,
            is_outage=status != 409,
            retry_after=retry.retry_after(response.headers),
        )
    hint = " Does the base URL end in /v1, and is the model's name right?" if status == 404 else ""
    return Trouble("rejected", f"The endpoint rejects the request ({shown}).{hint}", status)
