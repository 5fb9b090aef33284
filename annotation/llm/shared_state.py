"""What all workers know of a provider together: its buckets, Retry-After and the breaker.

Synchronous, for a thread of its own. Times are the database's, so that clocks need not agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import models, transaction
from django.db.models import F
from django.db.models.functions import Greatest, Now
from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_variables

from annotation.llm.buckets import Bucket
from annotation.models import Provider, ProviderState
from core.egress import origin_of
from core.services.secret import open_secret

# So many failures in a row open the breaker, first for five seconds, twice as long each time.
TRIPS_AT = 8
FIRST_OPEN, LONGEST_OPEN = 5.0, 120.0


@dataclass(frozen=True)
class Taken:
    """What a worker may send before it asks again, or how long nobody may."""

    requests: float = 0.0
    tokens: float = 0.0
    wait: float = 0.0
    # The one call that tries whether the breaker may close.
    is_trial: bool = False
    # Why is waited; empty for the ordinary filling of a bucket.
    reason: str = ""
    # The provider itself asked for the wait.
    is_asked: bool = False


class Door(NamedTuple):
    """Where a provider is asked, and the fingerprint of the key that opens it; empty: none."""

    base_url: str
    key: str


@sensitive_variables("key")
def door_of(provider_id: int) -> Door | None:
    """None: it was retired, or is gone. Raises PrefloopError where its key cannot be read."""
    rows = Provider.objects.select_related("secret").filter(pk=provider_id, retired_at=None)
    provider = rows.first()
    if provider is None:
        return None
    if provider.secret is None:
        return Door(provider.base_url, "")
    # Of the key, not of the row: encrypted anew with another key of ours it is the same.
    key = open_secret(provider.secret, origin_of(provider.base_url))
    return Door(provider.base_url, salted_hmac("llm.door", key).hexdigest())


def take(provider_id: int, tokens: float, *, trial_seconds: float) -> Taken:
    """One request of `tokens`, or a chunk; `trial_seconds`: how long a trial call may take."""
    row = _read(provider_id)
    now: datetime = row["now"]
    if (pause := _left(row["not_before"], now)) > 0:
        return Taken(wait=pause, reason="it asked to wait.", is_asked=True)
    if row["open_until"] is not None:
        return _take_trial(provider_id, row, now, trial_seconds)
    if row["provider__requests_per_minute"] is None and row["provider__tokens_per_minute"] is None:
        return Taken(math.inf, math.inf)
    return _take_chunk(provider_id, tokens)


def _read(provider_id: int) -> dict[str, Any]:
    names = ("not_before", "open_until", "last_error")
    limits = ("provider__requests_per_minute", "provider__tokens_per_minute")
    rows = ProviderState.objects.filter(pk=provider_id).annotate(now=Now())
    row = rows.values(*names, *limits, "now").first()
    if row is None:
        _begin(provider_id)
        return _read(provider_id)
    return dict(row)


def _begin(provider_id: int) -> None:
    """Two workers may begin at once: the first row stays."""
    limits = Provider.objects.values_list("requests_per_minute", "tokens_per_minute")
    requests, tokens = (Bucket.full(limit) for limit in limits.get(pk=provider_id))
    state = ProviderState(
        provider_id=provider_id, requests_left=_stored(requests), tokens_left=_stored(tokens)
    )
    ProviderState.objects.bulk_create([state], ignore_conflicts=True)
    ProviderState.objects.filter(pk=provider_id, refilled_at=None).update(refilled_at=Now())


def _take_trial(
    provider_id: int, row: dict[str, Any], now: datetime, trial_seconds: float
) -> Taken:
    """The row count decides which worker tries; the others wait for what it finds."""
    pause = _left(row["open_until"], now)
    if pause <= 0:
        won = ProviderState.objects.filter(pk=provider_id, open_until=row["open_until"]).update(
            open_until=Now() + timedelta(seconds=trial_seconds)
        )
        if won:
            return Taken(1.0, math.inf, is_trial=True)
    return Taken(wait=max(pause, 0.05), reason=row["last_error"])


@transaction.atomic
def _take_chunk(provider_id: int, need: float) -> Taken:
    state = (
        ProviderState.objects.select_related("provider")
        .select_for_update(of=("self",), no_key=True)
        .annotate(now=Now())
        .get(pk=provider_id)
    )
    # The clock was read before the row was waited for, so it may lie behind.
    now = max(state.now, state.refilled_at or state.now)
    elapsed = (now - (state.refilled_at or now)).total_seconds()
    provider = state.provider
    requests = _bucket(state.requests_left, provider.requests_per_minute).after(elapsed)
    tokens = _bucket(state.tokens_left, provider.tokens_per_minute).after(elapsed)
    wait = max(requests.wait(1.0), tokens.wait(need))
    if wait > 0:
        return Taken(wait=wait)
    some_requests, requests = requests.take(1.0)
    some_tokens, tokens = tokens.take(need)
    ProviderState.objects.filter(pk=provider_id).update(
        requests_left=_stored(requests), tokens_left=_stored(tokens), refilled_at=now
    )
    return Taken(some_requests, some_tokens)


def _bucket(left: float, per_minute: int | None) -> Bucket:
    return Bucket(left, Bucket.full(per_minute).rate)


def _stored(bucket: Bucket) -> float:
    # A limit that is set later begins with an empty bucket.
    return 0.0 if math.isinf(bucket.left) else bucket.left


def hold(provider_id: int, seconds: float) -> None:
    """Nobody asks before: never shortened by a later, smaller Retry-After."""
    until = Now() + timedelta(seconds=seconds)
    ProviderState.objects.filter(pk=provider_id).update(
        not_before=Greatest(F("not_before"), until, output_field=models.DateTimeField())
    )


def note_failures(provider_id: int, count: int, error: str, *, is_trial: bool) -> None:
    """Opens the breaker, unless another worker has; a failed trial opens it for longer."""
    rows = ProviderState.objects.filter(pk=provider_id)
    failures = rows.values_list("failures_in_a_row", flat=True).first() or 0
    openings = failures // TRIPS_AT
    seconds = min(LONGEST_OPEN, FIRST_OPEN * 2 ** min(openings, 10))
    if not is_trial:
        rows = rows.filter(open_until=None)
    rows.update(
        failures_in_a_row=F("failures_in_a_row") + max(count, TRIPS_AT if is_trial else count),
        open_until=Now() + timedelta(seconds=seconds),
        last_error=error[:500],
    )


def close(provider_id: int) -> None:
    """The trial went well."""
    ProviderState.objects.filter(pk=provider_id).update(
        failures_in_a_row=0, open_until=None, last_error=""
    )


def _left(moment: datetime | None, now: datetime) -> float:
    return (moment - now).total_seconds() if moment is not None else 0.0
