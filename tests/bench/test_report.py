"""Tables say of each row where it comes from, and results what they do not show."""

from __future__ import annotations

from typing import Any

from bench.report import section, table


def _result(name: str, commit: str, **figures: Any) -> dict[str, Any]:
    return {
        "name": name,
        "measured": f"2026-01-0{len(commit)}T00:00:00+00:00",
        "seconds": 3.0,
        "commit": commit,
        "machine": {"cores": len(commit), "load_at_start": 0.5},
        "figures": figures,
    }


def test_each_row_of_several_results_names_its_own_origin() -> None:
    results = {
        "proof.one": _result("proof.one", "a", moved=1, range=[0.5, None]),
        "proof.two": _result("proof.two", "bb", moved=None),
    }
    assert table(results, "proof.one,proof.two,proof.three").splitlines()[2:] == [
        "| one | 1 | 0.5; None | 2026-01-01, commit a, 1 cores |",
        "| two | – |  | 2026-01-02, commit bb, 2 cores |",
        "| three: not recorded |  |  |  |",
    ]
    assert table(results, "proof.three,proof.four").startswith("Not measured yet")
    assert table(results, "proof.two").endswith("\n\n2026-01-02, commit bb, 2 cores.\n")


def test_a_comparison_stands_beside_its_aim_or_is_told_to_be_missing() -> None:
    side = {"tokens_per_second": 9.0}
    figures = {"times_as_fast": 2.5, "share_of_memory": 0.6, "agrees": True, "useful_tokens": 5}
    name = "training_dpo.lora"
    lines = table(
        {name: _result(name, "a", **figures, prefloop=side, trl=side)}, "against_trl"
    ).splitlines()
    assert lines[0].startswith("| | aim | times as fast | share of memory | prefloop tokens per")
    lora = next(line for line in lines if line.startswith("| training dpo.lora"))
    assert "| ≥ 2.1 × at ≤ 0.55 | 2.5 | 0.6 | 9.0 | 9.0 | True |" in lora
    assert sum("| not measured |" in line for line in lines) == len(lines) - 3


def test_a_figure_of_an_older_run_names_both_commits() -> None:
    result = _result("proof.one", "a", moved=1) | {"read": {"commit": "b"}}
    assert "2026-01-01, commit a (read at b), 1 cores, load 0.5 before the start" in section(result)
    assert "(read" not in section(result | {"read": {"commit": "a"}})


def test_a_load_that_was_asked_for_after_the_run_is_called_so() -> None:
    result = _result("queue", "a")
    assert "load 2.0 at the end" in section(result | {"machine": {"cores": 1, "load_before": 2.0}})
    assert "load not recorded" in section(result | {"machine": {"cores": 1}})


def test_figures_that_do_not_count_or_show_nothing_say_so_first() -> None:
    refused = section(_result("x", "a", counts=False, does_not_count_because="they differ"))
    assert refused.index("**Does not count**: they differ.") < refused.index("| figure")
    assert "| counts | False |" in refused
    assert "**Not shown**" in section(_result("x", "a", shown=False))
    assert "**" not in section(_result("x", "a", counts=True, shown=True))
