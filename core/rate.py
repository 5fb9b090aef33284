"""A plain limit on how often one address may do a thing that only attackers do often.

Counted in each web process by itself, so the whole is this limit times the processes: enough to
slow a guesser, and no request waits for it. What must be exact is counted in the database.
"""

from __future__ import annotations

from django.core.cache import cache
from django.http import HttpRequest

from core.addresses import client_address
from core.errors import PrefloopError

MINUTES = 10


class TooOften(PrefloopError):
    code = "too_often"
    status = 429


def note_miss(request: HttpRequest, what: str, *, most: int = 30) -> None:
    """Raises TooOften when this address has missed more than `most` times in ten minutes."""
    key = f"misses:{what}:{client_address(request)}"
    if cache.add(key, 1, MINUTES * 60):
        return
    try:
        misses = cache.incr(key)
    except ValueError:
        # It ran out in this very moment: a new ten minutes begin.
        cache.add(key, 1, MINUTES * 60)
        return
    if misses > most:
        raise TooOften(f"Too many tries from your network. Try again in {MINUTES} minutes.")
