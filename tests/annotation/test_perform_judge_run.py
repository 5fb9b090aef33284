"""What a run of a judge leaves: calls, verdicts and judgments, each once."""

from __future__ import annotations

import pytest

from annotation.models import Answer, Assignment, JudgeCall, JudgeVerdict, Judgment
from annotation.selectors.judge import contents_of
from annotation.services.asked_call import messages_asked
from core.errors import PrefloopError
from tests.asked_judges import (
    Court,
    assert_books_balance,
    make_asked_judge,
    make_items,
    make_items_of_equal_texts,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_item_gets_one_judgment_and_each_call_its_row(court: Court) -> None:
    items = make_items(court.project, 12)
    before = court.server.stats()
    run = court.run()
    assert run.job.state == "succeeded", run.job.error
    assert set(JudgeVerdict.objects.values_list("item_id", flat=True)) == {one.pk for one in items}
    assert Judgment.objects.filter(origin="judge").count() == 12
    assert not Assignment.objects.filter(takes_slot=True).exists()
    calls = JudgeCall.objects.filter(run=run)
    assert calls.count() == 24 == court.server.stats()["calls"] - before["calls"]
    assert set(calls.values_list("state", "attempt", "tries")) == {("done", 1, 1)}
    one = calls.first()
    assert one.parameters["model"] == "scripted"
    assert len(one.parameters["template"]) == 64
    assert one.parameters["guidelines"] == court.project.protocol.version
    assert one.item_id is not None
    content = contents_of(court.project, [one.item_id])[one.item_id]
    assert one.parameters["content"] == content.content_hash()
    assert one.reply["text"]
    assert one.verdict["outcome"] == "judged"
    assert one.prompt_tokens > 0
    assert 0 < one.settled_cost <= one.reserved_cost
    assert_books_balance(run)


def test_what_a_call_asked_can_be_made_again_until_its_texts_change(court: Court) -> None:
    (item,) = make_items(court.project, 1)
    court.server.change(rates={"wrong_schema": 1.0})
    run = court.run()
    sent = [one["body"]["messages"] for one in court.server.seen()[-4:]]
    calls = list(run.calls.all())
    assert {call.purpose for call in calls} == {"judge/verdict", "judge/repair"}
    for call in calls:
        assert messages_asked(call) in sent
    response = item.item_responses.get(position=0).response
    response.messages = [{"role": "assistant", "content": "Another text."}]
    response.save()
    assert [messages_asked(call) for call in calls] == [None] * 4


def test_a_verdict_names_its_calls_and_is_its_judgment(court: Court) -> None:
    make_items(court.project, 2)
    court.run()
    for verdict in JudgeVerdict.objects.select_related("judgment__assignment"):
        calls = JudgeCall.objects.filter(pk__in=verdict.calls)
        assert {(tuple(call.shown_order), call.item_id) for call in calls} == {
            ((0, 1), verdict.item_id),
            ((1, 0), verdict.item_id),
        }
        assert verdict.judgment.assignment.item_id == verdict.item_id
        assert verdict.judgment.duration_ms == sum(call.latency_ms for call in calls)
        answer = verdict.judgment.answers.get()
        assert verdict.detail["criteria"]["overall"]["answer"]["strength"] == answer.strength


def test_the_longer_answer_wins_whatever_its_place(court: Court) -> None:
    court.server.change(verdict="longer")
    (item,) = make_items(court.project, 1)
    second = item.item_responses.get(position=1).response
    second.messages = [{"role": "assistant", "content": "word " * 300}]
    second.save()
    court.run()
    assert Answer.objects.get().strength < 0


def test_soft_labels_are_kept_with_the_answer(court: Court) -> None:
    judge = make_asked_judge(court.project, court.judge.model, protocol="rlaif", name="Soft")
    make_items(court.project, 3)
    Court(court.project, judge, court.server).run()
    for answer in Answer.objects.all():
        assert len(answer.probabilities) == 1
        assert 0 < answer.probabilities[0] < 1
    assert Answer.objects.count() == 3


def test_nothing_is_asked_twice_by_another_run(court: Court) -> None:
    make_items(court.project, 3)
    court.run()
    with pytest.raises(PrefloopError, match="No item is left"):
        court.queue()
    # A verdict that was lost is made again of the calls that are there.
    before = court.server.stats()["calls"]
    JudgeVerdict.objects.all().update(judgment=None)
    JudgeVerdict.objects.all().delete()
    again = court.run()
    assert again.job.state == "succeeded"
    assert again.settled == 0
    assert court.server.stats()["calls"] == before
    assert JudgeVerdict.objects.filter(judgment__isnull=False).count() == 3


def test_equal_texts_of_other_models_share_their_calls(court: Court) -> None:
    make_items_of_equal_texts(court.project)
    run = court.run()
    assert run.job.state == "succeeded", run.job.error
    assert run.calls.count() == 2
    assert run.verdicts.count() == 2


def test_failed_items_are_asked_again_on_request(court: Court) -> None:
    make_items(court.project, 8)
    court.server.change(rates={"wrong_schema": 1.0})
    first = court.run()
    assert set(first.verdicts.values_list("outcome", flat=True)) == {"unparsable"}
    assert not Judgment.objects.exists()
    # One repair each, and the cost is booked although nothing could be read.
    assert set(first.calls.values_list("purpose", flat=True)) == {"judge/verdict", "judge/repair"}
    assert first.settled > 0
    with pytest.raises(PrefloopError, match="No item is left"):
        court.queue()
    court.server.change(rates={})
    again = court.run(selection={"again": True})
    assert again.job.state == "succeeded", again.job.error
    assert Judgment.objects.count() == 8 == again.verdicts.filter(outcome="judged").count()
    assert set(again.calls.values_list("attempt", flat=True)) == {2}


def test_repeats_and_canaries_are_no_judgments(court: Court) -> None:
    make_items(court.project, 6)
    court.run()
    repeat = court.run(purpose="repeat", selection={"limit": 4})
    assert repeat.job.state == "succeeded", repeat.job.error
    assert list(repeat.verdicts.values_list("purpose", flat=True)) == ["repeat 1"] * 4
    canary = court.run(purpose="canary", selection={"limit": 5})
    assert canary.job.state == "succeeded", canary.job.error
    purposes = set(canary.verdicts.values_list("purpose", flat=True))
    assert len(purposes) == 5
    assert all(one.startswith("canary ") for one in purposes)
    assert all(one.detail["target"] in (0, 1) for one in canary.verdicts.all())
    assert Judgment.objects.count() == 6
    assert not JudgeVerdict.objects.exclude(purpose="judge").filter(judgment__isnull=False)
