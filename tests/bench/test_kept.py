"""A kept run stands for its own settings, data and commit, and for nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.training import kept


class Launches:
    """Stands where training does: it writes what it was asked for."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def __call__(self, config: Path) -> None:
        values = json.loads(config.read_text())
        self.rates.append(values["learning_rate"])
        (Path(values["output_dir"]) / "model").write_text(str(values["learning_rate"]))


@pytest.fixture
def launch() -> Launches:
    return Launches()


@pytest.fixture
def values(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "rows").write_text("a row")
    return {
        "output_dir": str(tmp_path / "dpo"),
        "train_file": str(tmp_path / "rows"),
        "learning_rate": 0.1,
    }


def test_a_finished_run_is_kept_with_the_commit_that_trained_it(
    values: dict[str, Any], launch: Launches, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code in ("first", "second"):
        monkeypatch.setattr(kept, "origin", lambda code=code: {"commit": code, "machine": {}})
        output = kept.trained(values, launch)
    assert launch.rates == [0.1]
    told = kept.provenance(output)
    assert (told["commit"], set(told)) == ("first", {"measured", "seconds", "commit", "machine"})


def test_other_settings_are_trained_anew(values: dict[str, Any], launch: Launches) -> None:
    kept.trained(values, launch)
    output = kept.trained(values | {"learning_rate": 0.2}, launch)
    assert launch.rates == [0.1, 0.2]
    assert (output / "model").read_text() == "0.2"


def test_other_data_of_the_same_name_are_trained_anew(
    values: dict[str, Any], launch: Launches
) -> None:
    kept.trained(values, launch)
    Path(values["train_file"]).write_text("another row")
    kept.trained(values, launch)
    assert len(launch.rates) == 2


def test_a_run_goes_with_the_run_it_was_made_from(
    values: dict[str, Any], launch: Launches, tmp_path: Path
) -> None:
    first = values | {"output_dir": str(tmp_path / "reward")}
    for _ in range(2):
        kept.trained(values, launch, after=kept.trained(first, launch))
    assert len(launch.rates) == 2
    rewards = kept.trained(first | {"learning_rate": 0.3}, launch)
    kept.trained(values, launch, after=rewards)
    assert launch.rates == [0.1, 0.1, 0.3, 0.1]


def test_a_run_that_failed_leaves_nothing_to_be_kept(
    values: dict[str, Any], launch: Launches
) -> None:
    def fail(config: Path) -> None:
        launch(config)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        kept.trained(values, fail)
    kept.trained(values, launch)
    assert len(launch.rates) == 2
