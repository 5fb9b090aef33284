"""What programs may ask of the queue, and the pause rules."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.cache import cache

from annotation.models import PauseRule
from tests.api import Api
from tests.cast import Cast, make_item


@pytest.fixture(autouse=True)
def forget_days() -> None:
    """Projects of other tests had the same numbers."""
    cache.clear()


def test_the_queue_in_numbers(cast: Cast) -> None:
    make_item(cast.project, overlap=3)
    found = Api(cast.mary).get(f"projects/{cast.project.pk}/work").json()
    assert found == {
        "open_items": 1,
        "judgments_left": 3,
        "judged_today": 0,
        "judged_in_24_hours": 0,
        "pace": None,
        "in_words": "3 judgments left; too little was judged so far to say how long that takes.",
    }


def test_rules_are_put_and_read(cast: Cast) -> None:
    api, path = Api(cast.mary), f"projects/{cast.project.pk}/pause-rules"
    rules = [{"signal": "speed", "threshold": 2.5, "window": 30}]
    assert api.call("PUT", path, {"rules": rules}).json() == rules
    assert api.get(path).json() == rules
    short = {"rules": [{"signal": "gold_accuracy", "threshold": 0.6}]}
    assert api.call("PUT", path, short).json()[0]["window"] == 20
    assert api.call("PUT", path, {"rules": []}).json() == []
    assert not PauseRule.objects.exists()


@pytest.mark.parametrize(
    "rule",
    [
        {"signal": "mood", "threshold": 1},
        {"signal": "gold_accuracy", "threshold": 60},
        {"signal": "speed", "threshold": -1},
        {"signal": "speed", "threshold": 1, "window": 2},
        {"signal": "speed"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(cast: Cast, rule: dict[str, object]) -> None:
    path = f"projects/{cast.project.pk}/pause-rules"
    assert Api(cast.mary).call("PUT", path, {"rules": [rule]}).status_code == 400


def test_settings_of_measuring_are_changed(cast: Cast) -> None:
    path = f"projects/{cast.project.pk}"
    given = {
        "daily_target": 40, "gold_share": 5, "probe_share": 2, "shows_gold_agreement": True,
    }  # fmt: skip
    changed = Api(cast.mary).call("PATCH", path, given).json()
    assert {name: changed[name] for name in given} == given
    assert Api(cast.mary).call("PATCH", path, {"gold_share": 51}).status_code == 400
    assert Api(cast.mary).call("PATCH", path, {"daily_target": None}).status_code == 200
    assert Api(cast.mary).call("PATCH", path, {"judge_budget": 12.3}).status_code == 200
    cast.project.refresh_from_db()
    assert cast.project.judge_budget == Decimal("12.30")
