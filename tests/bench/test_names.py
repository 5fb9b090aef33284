"""What can be named on the command line, and what is recorded apart."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import bench.__main__ as bench
from bench.__main__ import cases, main


def test_a_comparison_is_recorded_case_by_case_and_other_measures_whole() -> None:
    assert cases("measures", "training_dpo") == [
        "bfloat16",
        "float32",
        "lora",
        "lora_float32",
        "long_prompts",
        "long_prompts_float32",
    ]
    assert cases("measures", "import_pairs") == [""]


@pytest.mark.parametrize("name", ["nothing", "nothing.float32", "training_dpo.float16"])
def test_an_unknown_name_is_refused_with_the_known_ones(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "measures", name])
    with pytest.raises(SystemExit):
        main()
    assert "training_dpo" in capsys.readouterr().err


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One commit of a program and a result."""
    for name in ("program.py", "docs/results/README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("first")
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "First."]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    return tmp_path


def test_results_of_the_same_session_do_not_make_the_code_another(repository: Path) -> None:
    clean = bench.commit()
    assert clean
    assert "dirty" not in clean
    (repository / "docs" / "results" / "README.md").write_text("second")
    assert bench.commit() == clean
    (repository / "program.py").write_text("second")
    assert bench.commit() == f"{clean}-dirty"


def test_a_figure_is_recorded_with_the_run_it_was_read_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = {"measured": "2026-01-01T00:00:00+00:00", "seconds": 900.0, "commit": "old"}
    found = {"accuracy": 0.7, "trained": trained}
    monkeypatch.setitem(sys.modules, "bench.proofs.one", SimpleNamespace(run=lambda: found))
    monkeypatch.setattr(bench, "RESULTS", tmp_path)
    monkeypatch.setattr(bench, "commit", lambda: "new")
    told = json.loads(bench.record("proofs", "one").read_text())
    assert {name: told[name] for name in trained} == trained
    assert (told["read"]["commit"], told["figures"]) == ("new", {"accuracy": 0.7})
    assert told["read"]["seconds"] < 900.0
