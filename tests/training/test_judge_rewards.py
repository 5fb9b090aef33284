"""A run that is rewarded by a judge: launched by name, asked through its worker, under a cap."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from annotation.models import Judge, JudgeCall, JudgeRun
from annotation.services.judge import import_judge
from annotation.services.provider import set_provider_key
from core import jobs
from core.errors import PrefloopError
from core.models import Job
from feedback.models import JudgeStanding
from tests.asked_judges import make_asked_judge, make_priced_model, make_provider
from tests.cast import Cast
from tests.feedback.judging import annotator_of_judge
from tests.feedback.votes import open_gate
from tests.llm_server import LlmServer, start_llm_server
from tests.training.conftest import TINY, Launch
from tests.training.test_pages import form_data
from training.forms.again import launch_query, left_out
from training.models import MetricPoint, TrainingRun
from training.selectors.judge import judge_choices, reward_judges
from training.services import resume_run
from training.services.client_key import KeyUsed
from training.services.judging import judges_for

pytestmark = pytest.mark.django_db(transaction=True)
# Four answers a step, of a few tokens each.
STEPS: dict[str, Any] = {
    "max_steps": 2, "batch_size": 4, "prompts_per_step": 2, "samples_per_prompt": 2,
    "max_new_tokens": 6, "checkpoint_every": 1, "evaluate_every": 100, "sample_prompts": 0,
}  # fmt: skip
NAME = "Rubric"


@pytest.fixture(scope="module")
def server() -> Iterator[LlmServer]:
    with start_llm_server("--verdict", "longer", key="sesame") as server:
        yield server


@pytest.fixture
def judge(cast: Cast, server: LlmServer, settings: LazySettings) -> Judge:
    settings.EGRESS_ORIGINS = [server.url]
    server.change(rates={})
    model = make_priced_model(make_provider(server))
    set_provider_key(provider=model.provider, key="sesame", actor=cast.ada)
    made = make_asked_judge(cast.project, model, protocol="prometheus", kind="thumbs", name=NAME)
    believe(made)
    return made


def believe(judge: Judge) -> JudgeStanding:
    assert judge.project is not None
    return open_gate(judge.project, annotator_of_judge(judge))


def source(judge: str = NAME, **more: Any) -> dict[str, Any]:
    return {"reward": {"kind": "judge", "judge": judge, **more}}


def train(run: TrainingRun) -> Job:
    jobs.run(run.job_id)
    run.job.refresh_from_db()
    return run.job


@pytest.mark.usefixtures("orphans")
def test_the_worker_asks_the_judge_for_the_run(
    judge: Judge, launch: Launch, server: LlmServer
) -> None:
    before = server.stats()["questions"]
    run = launch("grpo", config=STEPS | {"reward_sources": source(cap=2)})
    assert run.config["reward_sources"]["reward"]["judge"] == f"{NAME} v1"
    job = train(run)
    assert job.state == Job.State.SUCCEEDED, job.error
    spent = JudgeRun.objects.get()
    assert (spent.purpose, spent.selection) == ("reward", {"training_run": run.pk})
    assert spent.cap == 2
    assert spent.settled > 0 == spent.reserved
    calls = JudgeCall.objects.filter(run=spent, item=None, state="done")
    assert calls.count() == JudgeCall.objects.count() == server.stats()["questions"] - before
    rewards = MetricPoint.objects.filter(run=run, name="reward").values_list("value", flat=True)
    assert len(rewards) == 2
    assert all(0 <= reward <= 1 for reward in rewards)


def test_a_launch_that_is_sent_again_keeps_its_judges_version(
    judge: Judge, launch: Launch, cast: Cast
) -> None:
    """Though there is a newer one by now, whose gate is closed."""
    asked: dict[str, Any] = {"client_key": "once-only"}
    config = STEPS | {"reward_sources": source(), "watch_sources": {"watched": source()["reward"]}}
    run = launch("grpo", config=config, **asked)
    made = make_asked_judge(
        cast.project,
        model_of(judge),
        protocol="prometheus",
        kind="thumbs",
        name=NAME,
        max_tokens=32,
    )
    assert made.version == 2
    assert launch("grpo", config=config, **asked) == run
    with pytest.raises(KeyUsed):
        launch("grpo", config=config | {"reward_sources": source(f"{NAME} v2")}, **asked)


@pytest.mark.usefixtures("orphans")
def test_a_run_whose_budget_ends_says_so_and_goes_on_under_a_larger_one(
    judge: Judge, launch: Launch
) -> None:
    run = launch("grpo", config=STEPS | {"reward_sources": source(cap=0.000001)})
    job = train(run)
    assert job.state == Job.State.FAILED
    assert "cap of $0.000001" in job.error
    assert "holds no further call" in job.error
    assert "Rubric v1" in job.error
    spent = JudgeRun.objects.get()
    assert spent.settled + spent.reserved <= spent.cap
    JudgeRun.objects.update(cap=Decimal(1))
    resume_run(run=run, actor=None)
    assert train(run).state == Job.State.SUCCEEDED
    assert JudgeRun.objects.get().cap == 1


def test_an_endpoint_that_refuses_ends_the_run_with_its_words(
    judge: Judge, launch: Launch, server: LlmServer
) -> None:
    server.change(rates={"403": 1.0})
    job = train(launch("grpo", config=STEPS | {"reward_sources": source()}))
    assert job.state == Job.State.FAILED
    assert "Rubric v1" in job.error
    assert "sesame" not in job.error


def test_a_run_without_judges_gets_no_socket(launch: Launch) -> None:
    with judges_for(launch("dpo")) as environment:
        assert environment == {}


def test_a_later_version_leaves_the_run_alone(judge: Judge, launch: Launch, cast: Cast) -> None:
    run = launch("grpo", config=STEPS | {"reward_sources": source()})
    later = make_asked_judge(
        cast.project, model_of(judge), protocol="prometheus", kind="thumbs", name=NAME,
        temperature=0.5,
    )  # fmt: skip
    assert later.version == 2
    believe(later)
    assert [str(one) for one in reward_judges(cast.project)] == [f"{NAME} v2", f"{NAME} v1"]
    with judges_for(run):
        assert JudgeRun.objects.get().judge == judge


def test_sources_of_one_judge_share_its_budgets(judge: Judge, launch: Launch) -> None:
    config = {"reward_sources": source(cap=2), "watch_sources": {"w": source(cap=3)["reward"]}}
    with judges_for(launch("grpo", config=STEPS | config)):
        assert JudgeRun.objects.get().cap == 5


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Nobody", "no judge called “Nobody”"),
        ("gpt-4", "verdicts of “gpt-4” were imported, and nobody can ask it"),
        ("Pairs", "“Pairs v1” cannot give rewards: .* judges pairwise, not thumbs"),
        (f"{NAME} v7", "no judge called"),
    ],
)
def test_what_cannot_reward_is_refused_at_the_launch(
    judge: Judge, launch: Launch, cast: Cast, name: str, words: str
) -> None:
    import_judge(name="gpt-4", model_name="gpt-4")
    make_asked_judge(cast.project, model_of(judge), name="Pairs")
    with pytest.raises(PrefloopError, match=words) as raised:
        launch("grpo", config=STEPS | {"reward_sources": source(name)})
    assert "reward_sources" in raised.value.fields
    assert not TrainingRun.objects.exists()


def test_a_judge_with_a_closed_gate_may_only_be_watched(
    judge: Judge, launch: Launch, cast: Cast
) -> None:
    JudgeStanding.objects.update(is_open=False)
    assert dict(judge_choices(cast.project)) == {
        f"{NAME} v1": f"Judge {NAME} v1 (gate closed: watch only)"
    }
    with pytest.raises(PrefloopError, match="its gate is closed in this project") as raised:
        launch("grpo", config=STEPS | {"reward_sources": source()})
    assert "reward_sources" in raised.value.fields
    length = {"length": {"kind": "length", "weight": 1.0, "limit": 4}}
    watched = {"reward_sources": length, "watch_sources": source()}
    with judges_for(launch("grpo", config=STEPS | watched)):
        assert JudgeRun.objects.get().judge == judge


def test_a_gate_that_closed_since_the_launch_ends_the_run(judge: Judge, launch: Launch) -> None:
    run = launch("grpo", config=STEPS | {"reward_sources": source()})
    JudgeStanding.objects.update(is_open=False)
    with pytest.raises(PrefloopError, match="cannot be trained on"), judges_for(run):
        pass


def test_the_judge_of_a_retired_provider_is_not_offered(judge: Judge, cast: Cast) -> None:
    assert reward_judges(cast.project) == [judge]
    provider = model_of(judge).provider
    provider.retired_at = provider.created_at
    provider.save()
    assert reward_judges(cast.project) == []


@pytest.mark.usefixtures("snapshot", "tiny_model_folder")
def test_from_the_form_and_again(judge: Judge, client: Client, cast: Cast) -> None:
    client.force_login(cast.ada)
    url = reverse("training:launch", args=[cast.project.pk])
    shown = client.get(url, {"method": "grpo"}).content.decode()
    assert f"Judge {NAME} v1" in shown
    assert "Budget of a judge" in shown
    chosen = {"reward_model": f"judge:{NAME} v1", "judge_cap": "2.5"}
    client.post(url, form_data(shown) | {"base_model": TINY} | chosen)
    run = TrainingRun.objects.get()
    assert run.config["reward_sources"] == {
        "reward": {"kind": "judge", "judge": f"{NAME} v1", "cap": 2.5}
    }
    again = dict(parse_qsl(launch_query(run)))
    assert (again["reward_model"], again["judge_cap"]) == (f"judge:{NAME} v1", "2.5")
    assert left_out(run) == []


def model_of(judge: Judge) -> Any:
    assert judge.model is not None
    return judge.model
