"""How a job's progress reads: `{% load jobs %}`."""

from __future__ import annotations

from django import template

from core.models import Job

register = template.Library()


@register.filter
def percent_done(job: Job) -> int | None:
    """0 to 100, or None while the size of the work is not known."""
    return None if job.share_done is None else int(100 * job.share_done)


@register.filter
def time_left(job: Job) -> str:
    """`40 s`, `3 min`, `1 h 20 min`; empty while nobody knows."""
    seconds = job.seconds_left
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} min"
