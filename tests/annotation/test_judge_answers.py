from __future__ import annotations

from decimal import Decimal

import pytest

from annotation.models import JudgeCall, JudgeRun, JudgeVerdict, Project, Protocol
from annotation.services.judge_answers import judge_answers, reward_run
from core.errors import PrefloopError
from tests.asked_judges import make_asked_judge, make_priced_model, make_provider
from tests.cast import make_project
from tests.llm_server import LlmServer

pytestmark = pytest.mark.django_db(transaction=True)
PROMPT = [{"role": "user", "content": "What is a number?"}]


@pytest.fixture
def project(transactional_db: None) -> Project:
    return make_project()


@pytest.fixture
def run(project: Project, server: LlmServer) -> JudgeRun:
    model = make_priced_model(make_provider(server))
    judge = make_asked_judge(project, model, protocol="prometheus", kind="thumbs")
    return reward_run(project=project, judge=judge, cap=Decimal(1), selection={"training_run": 1})


def test_a_reward_for_each_answer_in_order(run: JudgeRun, server: LlmServer) -> None:
    server.change(verdict="longer")
    texts = ["short", "long " * 200, "middling " * 20, "short"]
    rewards = judge_answers(run=run, answers=[(PROMPT, text) for text in texts])
    assert all(0 <= reward <= 1 for reward in rewards)
    assert rewards[0] == rewards[3] < rewards[1]
    # The same answer is asked about once, and no verdict on an item comes of it.
    assert JudgeCall.objects.filter(item=None, purpose="reward/verdict").count() == 3
    assert not JudgeVerdict.objects.exists()
    run.refresh_from_db()
    assert run.settled > 0 == run.reserved


def test_it_is_the_same_run_when_asked_for_again(run: JudgeRun) -> None:
    judge_answers(run=run, answers=[(PROMPT, "one")])
    again = reward_run(
        project=run.project, judge=run.judge, cap=Decimal(2), selection={"training_run": 1}
    )
    again.refresh_from_db()
    assert (again.pk, again.cap) == (run.pk, Decimal(2))
    assert again.settled > 0


def test_it_is_held_to_the_budget_and_keeps_its_questions(run: JudgeRun) -> None:
    Project.objects.update(judge_budget=Decimal(2))
    with pytest.raises(PrefloopError, match=r"leave \$1.00"):
        reward_run(
            project=run.project, judge=run.judge, cap=Decimal(2), selection={"training_run": 2}
        )
    asked = run.project.protocol
    assert run.protocol == asked
    newer = Protocol.objects.get(pk=asked.pk)
    newer.pk, newer.version, newer.guidelines = None, asked.version + 1, "The shorter one."
    newer.save()
    for _ in range(2):
        judge_answers(run=run, answers=[(PROMPT, "one")])
        assert JudgeCall.objects.count() == 1
        Protocol.objects.filter(pk=newer.pk).delete()


def test_at_its_cap_it_says_so(run: JudgeRun) -> None:
    JudgeRun.objects.update(cap=Decimal("0.000001"))
    with pytest.raises(PrefloopError, match="holds no further call"):
        judge_answers(run=run, answers=[(PROMPT, "one")])


def test_what_cannot_be_judged_earns_no_more_than_the_least_and_most_of_it_is_an_error(
    run: JudgeRun, server: LlmServer, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [(PROMPT, f"answer {n}") for n in range(60)]
    server.change(rates={"400": 0.25})
    rewards = judge_answers(run=run, answers=answers)
    failed = JudgeCall.objects.filter(state="failed").count()
    assert 0 < failed < 30
    assert f"could not judge {failed} of 60 answers" in caplog.text
    assert rewards.count(min(rewards)) >= failed + 1
    assert len(set(rewards)) > 1
    server.change(rates={"wrong_schema": 1.0})
    with pytest.raises(PrefloopError, match="could judge 0 of 2 answers"):
        judge_answers(run=run, answers=[(PROMPT, "no"), (PROMPT, "never")])


def test_a_judge_of_pairs_cannot_reward(project: Project, server: LlmServer) -> None:
    judge = make_asked_judge(project, make_priced_model(make_provider(server)))
    with pytest.raises(PrefloopError, match="cannot reward answers"):
        reward_run(project=project, judge=judge, cap=Decimal(1), selection={})
