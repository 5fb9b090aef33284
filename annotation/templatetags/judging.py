"""How judges, their money and their calls read: `{% load judging %}`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import template

from annotation import judge_words

register = template.Library()


@register.filter
def dollars(amount: Decimal | float | None) -> str:
    return judge_words.dollars(amount)


@register.filter
def abilities(can: Mapping[str, Any]) -> str:
    return judge_words.abilities_in_words(can)


@register.filter
def call_state(state: str) -> str:
    return judge_words.CALL_STATES.get(state, state)


@register.filter
def lasting(seconds: float | None) -> str:
    return judge_words.seconds(seconds)
