"""What is asked twice under one key is the same, though something has happened in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from feedback.models import Snapshot
from tests.cast import Cast
from tests.training.conftest import QUICK, TINY, Launch
from training.models import Recipe, Sweep
from training.services import cancel_run, queue_sweep, resume_run, start_recipe
from training.services.client_key import KeyUsed
from training.services.recipe import Stage

pytestmark = pytest.mark.usefixtures("tiny_model_folder")
Ask = Callable[..., Sweep | Recipe]


@pytest.fixture
def asked(cast: Cast, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "project": cast.project, "snapshot": snapshot, "criterion": "overall", "base_model": TINY,
        "created_by": cast.ada, "client_key": "once-only",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("start", "own"),
    [
        (queue_sweep, {"method": "dpo", "config": QUICK, "grid": {"beta": [0.1, 0.2]}}),
        (start_recipe, {"stages": [Stage("dpo", QUICK)]}),
    ],
)
def test_a_name_that_is_left_out_may_be_any(
    asked: dict[str, Any], start: Ask, own: dict[str, Any]
) -> None:
    made = start(**asked, **own, name="First")
    assert start(**asked, **own) == made
    with pytest.raises(KeyUsed):
        start(**asked, **own, name="Second")


def test_a_recipe_is_the_same_though_its_data_are_gone(
    asked: dict[str, Any], snapshot: Snapshot
) -> None:
    own = {"stages": [Stage("dpo", QUICK)]}
    made = start_recipe(**asked, **own)
    newer = Snapshot.objects.create(
        project=snapshot.project, version=2, content_hash="0" * 64, manifest={}
    )
    Snapshot.objects.filter(pk=snapshot.pk).update(replaced_by=newer)
    snapshot.refresh_from_db()
    assert start_recipe(**asked, **own) == made


def test_a_budget_may_have_been_raised_since(launch: Launch, cast: Cast) -> None:
    def again(budget: float) -> Any:
        config = {"reward_sources": {"short": {"kind": "length"}}, "kl_budget": budget}
        return launch("grpo", config=config, client_key="once-only")

    run = again(20.0)
    cancel_run(run=run, actor=cast.ada)
    resume_run(run=run, actor=cast.ada, kl_budget=30.0)
    assert again(20.0) == run
    with pytest.raises(KeyUsed):
        again(40.0)
