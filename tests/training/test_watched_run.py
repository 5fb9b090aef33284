"""What the page of an online run draws and says of what is watched."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.models import Job
from tests.cast import Cast
from tests.training.conftest import Launch
from training.models import MetricPoint, TrainingRun
from training.selectors.plot import Plot, plots_of
from training.selectors.run import curves

PARTED = "The rewards have parted"
SOURCES: dict[str, Any] = {
    "reward_sources": {"short": {"kind": "length"}},
    "watch_sources": {"second_model": {"kind": "length", "limit": 40}},
    "test_reward": "second_model",
}
# Of a policy that exploits its reward: the watched one falls while the trained one rises.
STEPS = {
    "reward": (0.1, 0.2, 0.3), "reward_short": (0.1, 0.2, 0.3),
    "reward_second_model": (0.2, 0.3, 0.1), "sqrt_kl": (0.0, 1.5, 4.0), "kl_k3": (0.0, 2.2, 16.0),
    "zero_variance_share": (0.5, 0.25, 0.0), "clip_fraction": (0.0, 0.1, 0.2),
    "sampler_difference": (2e-6, 1e-6, 3e-6), "kl_old": (0.0, 0.01, 0.02),
    "distinct_1": (0.4, 0.3, 0.2), "distinct_2": (0.8, 0.7, 0.6), "ended_share": (0.1, 0.5, 0.9),
    "explained_variance": (-0.5, 0.1, 0.4), "rewards_parted": (0.0, 0.0, 1.0),
}  # fmt: skip


@pytest.fixture
def run(launch: Launch) -> TrainingRun:
    return measured(launch("ppo", config=SOURCES | {"kl_budget": 20.0}))


@pytest.fixture
def admin(cast: Cast, client: Client) -> Client:
    client.force_login(cast.ada)
    return client


def measured(run: TrainingRun) -> TrainingRun:
    MetricPoint.objects.bulk_create(
        MetricPoint(run=run, step=step, name=name, value=value)
        for name, values in STEPS.items()
        for step, value in enumerate(values, start=1)
    )
    return run


def page(client: Client, name: str, run: TrainingRun) -> str:
    return client.get(reverse(f"training:{name}", args=[run.project_id, run.pk])).text


def plot(run: TrainingRun, title: str) -> Plot:
    return next(one for one in plots_of([run]) if one.title == title)


def test_what_is_watched_is_drawn(admin: Client, run: TrainingRun) -> None:
    for name in ("run", "run-live"):
        shown = page(admin, name, run)
        for words in (
            "Reward by distance", "√KL from the reference", "second model, watched",
            "Rewards by source", "What teaches nothing", "equal groups", "clipped tokens",
            "Value model", "Sampler against trainer", "updates (KL)", "distinct tokens",
            "distinct pairs", "Answers that end", "cut off at the limit of tokens",
        ):  # fmt: skip
            assert words in shown, (name, words)


def test_rewards_are_drawn_over_the_distance(run: TrainingRun) -> None:
    points = curves(run) | {"reward": [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]}
    drawn = plot(run, "Reward by distance")
    assert list(drawn.names) == ["reward", "reward_second_model"]
    assert "watched reward bends down" in drawn.about
    # Step 4 has no distance.
    assert drawn.columns(points, "reward") == ([0.0, 1.5, 4.0], [0.1, 0.2, 0.3])
    assert drawn.columns(points, "reward_second_model")[1] == [0.2, 0.3, 0.1]
    assert plot(run, "Reward").columns(points, "reward")[0] == [1, 2, 3, 4]
    assert drawn.columns({"reward": [(1, 0.1)]}, "reward") == ([], [])


def test_a_run_is_drawn_with_what_its_method_and_settings_have(launch: Launch) -> None:
    alone = launch("grpo", config={"reward_sources": SOURCES["reward_sources"]})
    titles = {one.title for one in plots_of([alone])}
    assert "Reward by distance" in titles
    assert not {"Value model", "Rewards by source", "Loss"} & titles
    for title in ("Reward", "Reward by distance"):
        assert "watched" not in plot(alone, title).about
    alone.config["missing_end_penalty"] = 0.5
    assert plot(alone, "Rewards by source").names == {
        "reward_short": "short", "reward_missing_end": "missing end",
    }  # fmt: skip
    assert {one.title for one in plots_of([launch("dpo")])}.isdisjoint(titles)


def test_watched_runs_side_by_side(admin: Client, launch: Launch, run: TrainingRun) -> None:
    other = measured(launch("ppo", config=SOURCES))
    url = reverse("training:compare", args=[run.project_id])
    shown = admin.get(url, {"run": [run.pk, other.pk]}).text
    for words in ("Reward by distance: trained on", "Value model: of the returns"):
        assert words in shown


def test_the_page_says_when_the_rewards_have_parted(admin: Client, run: TrainingRun) -> None:
    for name in ("run", "run-state"):
        shown = page(admin, name, run)
        assert PARTED in shown
        assert "“second_model”" in shown
    # The newest look counts.
    MetricPoint.objects.create(run=run, step=4, name="rewards_parted", value=0.0)
    assert PARTED not in page(admin, "run", run)


def test_nobody_is_warned_without_a_watched_reward(admin: Client, launch: Launch) -> None:
    run = measured(launch("ppo", config={"reward_sources": SOURCES["reward_sources"]}))
    assert PARTED not in page(admin, "run", run)


def test_a_run_that_its_budget_stopped_says_so_beside_the_budget(
    admin: Client, run: TrainingRun
) -> None:
    assert 'name="kl_budget"' not in page(admin, "run", run)
    why = "After step 3 the policy is 21 nats an answer from the reference."
    Job.objects.filter(pk=run.job_id).update(
        state=Job.State.FAILED, error=why, finished_at=timezone.now()
    )
    shown = page(admin, "run", run)
    assert why in shown[shown.index("notice-bad") :]
    field = shown.index('name="kl_budget"')
    assert 'value="20.0"' in shown[field : field + 120]
