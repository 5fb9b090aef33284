"""Without a price nothing is booked, so no cap holds: who may run a judge all the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.models import Judge, JudgeRun
from annotation.selectors.judge import price_of
from core.egress import is_operators
from core.errors import PrefloopError


def check_price(*, judge: Judge, selection: Mapping[str, Any], purpose: str) -> None:
    """A model of the operator's own costs nothing; a trial is ten items; else it must be said."""
    if judge.model is None or purpose == JudgeRun.Purpose.TRIAL or price_of(judge) is not None:
        return
    if is_operators(judge.model.provider.base_url):
        return
    is_bounded = "limit" in selection or "items" in selection
    if selection.get("unpriced") is True and is_bounded:
        return
    how = (
        ", or give a limit of items and say that it may run without a price"
        if purpose != JudgeRun.Purpose.REWARD
        else ""
    )
    raise PrefloopError(
        f"No price is known for {judge.model.name}, so no cap can hold what it costs. Ask an admin "
        f"to enter one under Providers (0 where it is free){how}.",
        field="unpriced",
    )
