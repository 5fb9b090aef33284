"""What can be named on the command line, and what is recorded apart."""

from __future__ import annotations

import sys

import pytest

from bench.__main__ import cases, main


def test_a_comparison_is_recorded_case_by_case_and_other_measures_whole() -> None:
    assert cases("measures", "training_dpo") == ["bfloat16", "float32", "lora", "long_prompts"]
    assert cases("measures", "import_pairs") == [""]


@pytest.mark.parametrize("name", ["nothing", "nothing.float32", "training_dpo.float16"])
def test_an_unknown_name_is_refused_with_the_known_ones(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "measures", name])
    with pytest.raises(SystemExit):
        main()
    assert "training_dpo" in capsys.readouterr().err
