"""What a run is said to need here: of which models, and at what former runs' speed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from core.errors import PrefloopError
from core.models import Job
from feedback.models import Snapshot
from tests.cast import Cast
from tests.training.conftest import QUICK, TINY, Launch
from tests.training.test_promotion import make_version
from training.alignment.budget import Budget
from training.models import MetricPoint
from training.selectors.budget import model_size, run_budget
from training.selectors.model import reward_models
from training.services.run import checked_config


@pytest.fixture
def scorer(cast: Cast, tiny_model_folder: Path) -> Iterator[str]:
    """A version that scores, as large as the tiny model."""
    version = make_version(cast, 1)
    version.lineage = {"method": "reward_bradley_terry"}
    version.save(update_fields=["lineage"])
    (choice,) = reward_models(cast.project)
    shutil.copytree(tiny_model_folder, choice.folder)
    yield choice.name
    shutil.rmtree(choice.folder)


def budget_of(cast: Cast, snapshot: Snapshot, **asked: Any) -> Budget:
    config = checked_config(method="ppo", config=QUICK | {"max_new_tokens": 40} | asked)
    return run_budget(
        project=cast.project, snapshot=snapshot, method="ppo", criterion="overall",
        base_model=TINY, config=config,
    )  # fmt: skip


def test_every_reward_model_counts_be_it_of_an_ensemble_or_only_watched(
    cast: Cast, snapshot: Snapshot, scorer: str
) -> None:
    one = {"kind": "reward_model", "folders": [scorer]}
    low = {"kind": "reward_model", "folders": [scorer], "dtype": "bfloat16"}
    found = budget_of(
        cast,
        snapshot,
        reward_sources={
            "many": one | {"folders": [scorer, scorer]}, "length": {"kind": "length", "limit": 50}
        },
        watch_sources={"watched": low},
    )  # fmt: skip
    weights = {part.name: part.amount for part in found.memory}
    assert weights["Reward models"] == (4 + 4 + 2) * model_size(cast.project, TINY).parameters


def test_a_source_of_rollouts_that_is_none_has_no_estimate(
    cast: Cast, snapshot: Snapshot, tiny_model_folder: Path
) -> None:
    with pytest.raises(PrefloopError, match=r"rollout_source\.url"):
        budget_of(cast, snapshot, rollout_source={"kind": "serve", "model": "m", "folder": "f"})


def test_a_run_that_sampled_says_nothing_of_the_speed(
    cast: Cast, launch: Launch, scorer: str
) -> None:
    source = {"reward": {"kind": "reward_model", "folders": [scorer]}}
    run = launch("ppo", config={"reward_sources": source})
    Job.objects.filter(pk=run.job_id).update(state="succeeded", finished_at=timezone.now())
    MetricPoint.objects.bulk_create(
        MetricPoint(run=run, step=step, name="seconds_per_step", value=2.0) for step in range(20)
    )
    found = budget_of(cast, run.snapshot, reward_sources=source)
    assert "rule of thumb" in found.machine.basis
