from __future__ import annotations

import json
import math

import pytest

from annotation.judging import JudgeSettings, describe_settings


def test_there_and_back() -> None:
    settings = JudgeSettings(samples=3, temperature=0.7, threshold=4.0, soft_labels="samples")
    assert JudgeSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert JudgeSettings.from_dict({}) == JudgeSettings()


def test_a_whole_number_is_a_number() -> None:
    assert JudgeSettings.from_dict({"temperature": 1}).temperature == 1.0
    assert JudgeSettings.from_dict({"threshold": None}).threshold is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample", 1),
        ("samples", 0),
        ("samples", 21),
        ("samples", True),
        ("samples", "3"),
        ("samples", 1.5),
        ("both_orders", 1),
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", None),
        ("soft_labels", "guess"),
        ("max_tokens", 8),
        ("tie_band", 0.6),
        ("threshold", math.inf),
        ("principles", "x" * 20_001),
        ("principles", 7),
    ],
)
def test_what_is_wrong_names_its_field(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        JudgeSettings.from_dict({name: value})


def test_every_setting_has_help_and_a_plain_type() -> None:
    described = describe_settings()
    assert [one.name for one in described] == list(JudgeSettings().to_dict())
    assert all(one.help.endswith(".") for one in described)
    assert {one.type for one in described} == {bool, int, float, str}
    assert [one.name for one in described if one.nullable] == ["threshold"]
