"""What must be right before the instance starts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from core.errors import PrefloopError


@register()
def check_egress_origins(**_: Any) -> list[CheckMessage]:
    """An origin that is misspelled would allow nothing, and nobody would know why."""
    return [
        Error(f"PREFLOOP_EGRESS_ORIGINS: {url!r} is no origin. {why}", id="core.E001")
        for url in settings.EGRESS_ORIGINS
        if (why := _why_no_origin(url))
    ]


def _why_no_origin(url: str) -> str:
    # Loaded for those who need it only: every command runs the checks.
    from core.egress import origin_of

    try:
        origin_of(url)
    except PrefloopError as error:
        return error.message
    return ""
