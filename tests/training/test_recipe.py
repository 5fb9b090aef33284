"""Recipes: each step a run, which starts when the one before is done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core import jobs
from core.errors import Conflict, PrefloopError
from core.models import Job
from feedback.models import Snapshot
from tests.cast import Cast
from tests.training.conftest import QUICK, TINY
from training.models import Recipe, TrainingRun
from training.selectors.model import scores_answers
from training.services import resume_recipe, start_recipe, stop_recipe
from training.services.client_key import KeyUsed
from training.services.recipe import (
    Stage,
    go_on,
    go_on_with_recipes,
    next_step,
    rlhf_stages,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("tiny_model_folder"),
]
STAGE = QUICK | {"max_steps": 2, "checkpoint_every": 1}
ROLLOUTS = {"prompts_per_step": 2, "samples_per_prompt": 2, "max_new_tokens": 6}
SHORT = {"length": {"kind": "length", "weight": 0.5, "limit": 40}}
POLICY = STAGE | ROLLOUTS | {"reward_sources": SHORT}


@pytest.fixture
def recipe(cast: Cast, snapshot: Snapshot) -> Recipe:
    return start_recipe(
        project=cast.project, snapshot=snapshot, criterion="overall", base_model=TINY,
        stages=rlhf_stages(sft=STAGE, reward=STAGE, policy=POLICY),
        created_by=cast.ada, client_key="once-only",
    )  # fmt: skip


def end(run: TrainingRun | None, state: str) -> None:
    assert run is not None
    Job.objects.filter(pk=run.job_id).update(state=state, finished_at=timezone.now())


def runs_of(recipe: Recipe) -> list[str | None]:
    """The state of each step's run."""
    return [step.run.job.state if step.run else None
            for step in recipe.steps.select_related("run__job")]  # fmt: skip


def test_only_the_first_step_is_queued(recipe: Recipe) -> None:
    assert runs_of(recipe) == ["queued", None, None]
    assert [step.method for step in recipe.steps.all()] == ["sft", "reward_bradley_terry", "ppo"]
    go_on_with_recipes()
    assert runs_of(recipe) == ["queued", None, None]


def test_asking_twice_starts_one(recipe: Recipe, cast: Cast, snapshot: Snapshot) -> None:
    asked: dict[str, Any] = {
        "project": cast.project, "snapshot": snapshot, "criterion": "overall", "base_model": TINY,
        "created_by": cast.ada, "client_key": "once-only",
    }  # fmt: skip
    stages = rlhf_stages(sft=STAGE, reward=STAGE, policy=POLICY)
    assert start_recipe(stages=stages, **asked) == recipe
    others = rlhf_stages(sft=STAGE, reward=STAGE, policy=POLICY | {"max_steps": 3})
    for changes in ({"stages": others}, {"stages": stages[:2]}, {"stages": stages, "name": "Two"}):
        with pytest.raises(KeyUsed, match=f"Recipe {recipe.pk} was started under"):
            start_recipe(**asked | changes)
    assert TrainingRun.objects.count() == 1


@pytest.mark.parametrize(
    ("policy_method", "criterion", "words"),
    [("dpo", "overall", "does not learn from rewards"), ("ppo", "taste", "has none for the")],
)
def test_every_stage_is_checked_before_the_first(
    cast: Cast, snapshot: Snapshot, policy_method: str, criterion: str, words: str
) -> None:
    stages = rlhf_stages(sft={}, reward={}, policy={}, policy_method=policy_method)
    with pytest.raises(PrefloopError, match=words):
        start_recipe(
            project=cast.project, snapshot=snapshot, criterion=criterion, base_model=TINY,
            stages=stages, created_by=cast.ada,
        )  # fmt: skip
    assert not Recipe.objects.exists()


@pytest.mark.parametrize(
    ("policy", "words", "field"),
    [
        ({"hyperparameters": {"mini_batches": 3}}, "cannot be dealt evenly", "prompts_per_step"),
        ({"max_length": 4000}, "has only 2048 positions", "max_length"),
        ({"max_new_tokens": 900}, "exceed max_length 1024", "max_new_tokens"),
        ({"reward_sources": {"reward": {"kind": "length"}}}, "another name", "reward_sources"),
        ({"reward_sources": {"fit": {"kind": "verifier", "verifier": "?"}}}, "no verifier", ""),
        ({"watch_sources": {"w": {"kind": "reward_model", "folders": ["version:9"]}}},
         "is no reward model of this project", ""),
    ],
)  # fmt: skip
def test_a_policy_that_could_not_begin_is_refused_before_the_first_stage(
    cast: Cast, snapshot: Snapshot, policy: dict[str, Any], words: str, field: str
) -> None:
    stages = rlhf_stages(sft={}, reward={}, policy=policy)
    with pytest.raises(PrefloopError, match=words) as refused:
        start_recipe(
            project=cast.project, snapshot=snapshot, criterion="overall", base_model=TINY,
            stages=stages, created_by=cast.ada,
        )  # fmt: skip
    assert not field or field in refused.value.fields
    assert not Recipe.objects.exists()


@pytest.mark.parametrize(
    ("stages", "field"),
    [
        (rlhf_stages(sft={}, reward={"score_zero": "demonstrations"}, policy={}), "reward"),
        ([Stage("ppo_ptx", rewarded_by=0)], "policy_method"),
    ],
)
def test_demonstrations_are_asked_for_before_the_first_stage(
    cast: Cast, snapshot: Snapshot, stages: list[Stage], field: str
) -> None:
    rows = snapshot.manifest["rows"]
    if field == "policy_method":  # its prompts are there, and nothing to learn to write
        rows |= {key: {} for key in ("demonstrations", "demonstrations_from_preferred")}
        Snapshot.objects.filter(pk=snapshot.pk).update(manifest=snapshot.manifest)
        snapshot.refresh_from_db()
    with pytest.raises(PrefloopError, match="also needs demonstrations") as refused:
        start_recipe(
            project=cast.project, snapshot=snapshot, criterion="overall", base_model=TINY,
            stages=stages, created_by=cast.ada,
        )  # fmt: skip
    assert field in refused.value.fields
    assert not Recipe.objects.exists()


def test_three_stages_to_the_end(recipe: Recipe, orphans: Callable[[], list[int]]) -> None:
    """The real thing: three child processes, and what each made is what the next begins from."""
    for _ in range(3):
        step = next(one for one in recipe.steps.all() if not one.run or not one.run.job.is_over)
        assert step.run is not None
        jobs.run(step.run.job_id)
        step.run.job.refresh_from_db()
        assert (step.run.job.state, step.run.job.error) == ("succeeded", "")
        go_on_with_recipes()
    assert runs_of(recipe) == ["succeeded"] * 3
    sft, reward, policy = (step.run for step in recipe.steps.select_related("run__model_version"))
    assert sft is not None
    assert reward is not None
    assert policy is not None
    assert reward.base_model == policy.base_model == f"version:{sft.model_version.number}"
    sources = policy.config["reward_sources"]
    assert sources["reward"]["folders"] == [f"version:{reward.model_version.number}"]
    assert sources["length"]["limit"] == 40
    assert scores_answers(reward.model_version)
    assert not scores_answers(policy.model_version)
    assert policy.metric_points.filter(name__in=["reward", "reward_length"], step=2).count() == 2
    assert policy.model_version.evaluations.get().figures["kl"]["k3"]["value"] is not None
    assert reward.model_version.evaluations.get().figures["kind"] == "reward"


def test_a_failed_step_holds_the_recipe_until_it_is_resumed(recipe: Recipe, cast: Cast) -> None:
    end(recipe.steps.get(position=0).run, "failed")
    go_on_with_recipes()
    assert runs_of(recipe) == ["failed", None, None]
    resume_recipe(recipe=recipe, actor=cast.ada)
    assert runs_of(recipe) == ["queued", None, None]


def test_a_step_that_cannot_begin_says_why(recipe: Recipe) -> None:
    """Its model is gone: the run before made no version."""
    end(recipe.steps.get(position=0).run, "succeeded")
    assert next_step(recipe) == recipe.steps.get(position=1)
    assert go_on(recipe=recipe) is None
    recipe.refresh_from_db()
    assert recipe.problem
    assert recipe.stopped_at is not None
    assert runs_of(recipe) == ["succeeded", None, None]


def test_stop(recipe: Recipe, cast: Cast) -> None:
    stop_recipe(recipe=recipe, actor=cast.ada)
    assert runs_of(recipe) == ["cancelled", None, None]
    end(recipe.steps.get(position=0).run, "succeeded")
    go_on_with_recipes()
    assert runs_of(recipe) == ["succeeded", None, None]


def test_a_stop_in_progress_comes_before_a_resume(
    recipe: Recipe, cast: Cast, client: Client
) -> None:
    client.force_login(cast.ada)
    page, live = (
        reverse(f"training:{name}", args=[cast.project.pk, recipe.pk])
        for name in ("recipe", "recipe-live")
    )
    first = recipe.steps.get(position=0).run
    assert first is not None
    soon = timezone.now() + timedelta(minutes=1)
    Job.objects.filter(pk=first.job_id).update(
        state="running", lease_owner="test", lease_until=soon
    )
    stop_recipe(recipe=recipe, actor=cast.ada)
    with pytest.raises(Conflict, match="still saving its state"):
        resume_recipe(recipe=recipe, actor=cast.ada)
    assert "Resume" not in client.get(page).content.decode()
    assert client.get(live).status_code == 200
    end(first, "cancelled")
    ended = client.get(live)
    assert (ended.status_code, ended["HX-Refresh"]) == (286, "true")
    assert "Resume" in client.get(page).content.decode()
    resume_recipe(recipe=recipe, actor=cast.ada)
    assert runs_of(recipe) == ["queued", None, None]


def test_nothing_to_resume_and_nothing_to_stop(recipe: Recipe, cast: Cast) -> None:
    with pytest.raises(Conflict, match="nothing to resume"):
        resume_recipe(recipe=recipe, actor=cast.ada)
    first = recipe.steps.get(position=0).run
    recipe.steps.exclude(position=0).delete()
    end(first, "succeeded")
    with pytest.raises(Conflict, match="nothing to stop"):
        stop_recipe(recipe=recipe, actor=cast.ada)


def test_its_pages(client: Client, cast: Cast, snapshot: Snapshot) -> None:
    client.force_login(cast.ada)
    url = reverse("training:new-recipe", args=[cast.project.pk])
    shown = client.get(url).content.decode()
    from tests.training.test_pages import form_data

    given: dict[str, Any] = form_data(shown) | {"base_model": TINY, "criterion": "overall"}
    wrong = client.post(url, given | {"sft-learning_rate": "-1"})
    assert wrong.status_code == 422
    for _ in range(2):  # a double click
        response = client.post(url, given)
    made = Recipe.objects.get()
    assert given["sft-learning_rate"] == ""
    assert all("learning_rate" not in step.config for step in made.steps.all())
    page = reverse("training:recipe", args=[cast.project.pk, made.pk])
    assert response["Location"] == page
    shown = client.get(page).content.decode()
    for words in ("RLHF in three stages", "Waits for the step before", "Stop", "rewarded by"):
        assert words in shown
    client.post(reverse("training:recipe-stop", args=[cast.project.pk, made.pk]))
    assert "Resume" in client.get(page).content.decode()
    client.post(reverse("training:recipe-resume", args=[cast.project.pk, made.pk]))
    assert runs_of(made) == ["queued", None, None]
    live = reverse("training:recipe-live", args=[cast.project.pk, made.pk])
    assert client.get(live).status_code == 200
