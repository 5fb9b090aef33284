"""What a run that asks again takes over from before, and what it asks anew."""

from __future__ import annotations

import pytest

from annotation.models import Assignment, JudgeVerdict, Judgment, Protocol
from annotation.selectors.judge import contents_of
from annotation.services.annotator import annotator_for_judge
from annotation.services.judge_desk import Failure, Subject, failed
from annotation.services.judge_verdict import record_verdicts
from tests.asked_judges import Court, make_asked_judge, make_items, make_items_of_equal_texts

pytestmark = pytest.mark.django_db(transaction=True)
UNREADABLE = {"text": "I would rather not say.", "finish_reason": "stop"}


def make_newer_guidelines(court: Court) -> Protocol:
    newer = Protocol.objects.get(pk=court.project.protocol.pk)
    newer.pk, newer.version, newer.guidelines = None, newer.version + 1, "The shorter one."
    newer.save()
    return newer


def test_only_what_could_not_be_read_is_asked_anew(court: Court) -> None:
    judge = make_asked_judge(
        court.project, court.judge.model, protocol="self_rewarding", kind="listwise", name="Points",
        max_tokens=256,
    )  # fmt: skip
    points = Court(court.project, judge, court.server)
    (item,) = make_items(court.project, 1, kind="listwise")
    first = points.run()
    assert first.calls.count() == 9
    bad = first.calls.filter(shown_order=[1], sample_index=2)
    assert bad.update(reply=UNREADABLE) == 1
    JudgeVerdict.objects.update(outcome="unparsable", judgment=None)
    again = points.run(selection={"again": True})
    assert again.job.state == "succeeded", again.job.error
    asked = again.calls.get()
    assert (asked.shown_order, asked.sample_index, asked.attempt) == ([1], 2, 2)
    verdict = JudgeVerdict.objects.get()
    assert (verdict.outcome, verdict.item_id) == ("judged", item.pk)
    assert set(verdict.calls) == {
        asked.pk, *first.calls.exclude(pk__in=bad).values_list("pk", flat=True)}  # fmt: skip
    assert len(verdict.detail["criteria"]["overall"]["raw"]) == 9


def test_equal_texts_that_could_not_be_read_are_all_asked_anew(court: Court) -> None:
    make_items_of_equal_texts(court.project)
    court.server.change(rates={"wrong_schema": 1.0})
    assert court.run().verdicts.filter(outcome="unparsable").count() == 2
    court.server.change(rates={})
    again = court.run(selection={"again": True})
    assert again.verdicts.filter(outcome="judged").count() == 2
    assert set(again.calls.values_list("attempt", flat=True)) == {2}
    assert again.calls.count() == 2


def test_an_answer_to_other_guidelines_is_no_answer(court: Court) -> None:
    make_items(court.project, 2)
    court.run()
    newer = make_newer_guidelines(court)
    again = court.run(selection={"again": True})
    assert again.calls.count() == 4
    current = Judgment.objects.filter(pk__in=Assignment.objects.values("current"))
    assert set(current.values_list("protocol", flat=True)) == {newer.pk}


def test_what_is_asked_anew_in_vain_is_told_and_stays_to_be_asked(court: Court) -> None:
    make_items(court.project, 3)
    court.run()
    older = set(Assignment.objects.values_list("current", flat=True))
    newer = make_newer_guidelines(court)
    court.server.change(rates={"wrong_schema": 1.0})
    vain = court.run(selection={"again": True})
    assert vain.verdicts.filter(outcome="unparsable", judgment=None).count() == 3
    # What it said by the older ones goes on counting, until it has said more.
    assert set(Assignment.objects.values_list("current", flat=True)) == older
    court.server.change(rates={})
    again = court.run(selection={"again": True})
    assert again.verdicts.filter(outcome="judged").count() == 3
    assert JudgeVerdict.objects.count() == 3
    current = Judgment.objects.filter(pk__in=Assignment.objects.values("current"))
    assert set(current.values_list("protocol", flat=True)) == {newer.pk}
    assert [set(run.calls.values_list("attempt", flat=True)) for run in (vain, again)] == [{2}, {3}]


def test_what_was_judged_is_not_undone_by_another_run_that_fails(court: Court) -> None:
    make_items(court.project, 1)
    court.run()
    verdict = JudgeVerdict.objects.get()
    item, run = verdict.item_id, court.queue(purpose="trial")
    subject = Subject(item, contents_of(court.project, [item])[item], "judge", item)
    ended = failed(subject, [Failure("rejected", "No.")], [])
    record_verdicts(run=run, annotator=annotator_for_judge(judge=court.judge), ended=[ended])
    verdict.refresh_from_db()
    assert verdict.outcome == "judged"
    assert verdict.judgment is not None
