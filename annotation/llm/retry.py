"""What may be asked again, and when."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# 529 is "overloaded" at some endpoints; all 5xx but 501 may pass.
RETRIED_BELOW_500 = frozenset({408, 409, 429})
NEVER = frozenset({501, 505})
# A gateway gave up waiting: the model behind it may have answered, and be paid for it. Any other
# status of an error says that there is no answer, which no endpoint bills.
TIMED_OUT = frozenset({408, 504, 522, 524})
FIRST_SECONDS, MOST_SECONDS = 0.5, 20.0


def may_retry(status: int) -> bool:
    """Time-outs, conflicts, limits and trouble of the server's own; never what it refuses."""
    return status in RETRIED_BELOW_500 or (status >= 500 and status not in NEVER)


def back_off(tries: int) -> float:
    """Seconds before the next try: anywhere up to 0.5 · 2^(tries − 1), at most 20 (full jitter).

    Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return random.uniform(0, min(MOST_SECONDS, FIRST_SECONDS * 2 ** min(tries - 1, 30)))


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that the reply asks to wait, from milliseconds, seconds or a date; None: unsaid."""
    exact = _seconds(headers.get("retry-after-ms", ""))
    if exact is not None:
        return exact / 1000
    given = headers.get("retry-after", "")
    seconds = _seconds(given)
    if seconds is not None or not given:
        return seconds
    try:
        date = parsedate_to_datetime(given)
    except (ValueError, OverflowError):
        return None
    moment = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
