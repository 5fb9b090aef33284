"""Judges' cards through the whole path: from rows to kept figures, on made and on real verdicts."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import (
    Generator,
    Item,
    Judge,
    JudgeVerdict,
    Kind,
    Price,
    Prompt,
)
from feedback.models import JudgeStanding, Policy
from feedback.selectors import judge_card
from feedback.selectors.judges import judge_row
from feedback.services.adjudicate import Grounds, adjudicate
from feedback.services.measure_judges import measure_judges, request_judges
from feedback.services.policy import current_policy
from feedback.services.resolve_items import resolve_items
from tests.annotation.test_work_views import sign_in
from tests.cast import Cast, make_item, make_project, make_prompt
from tests.feedback.judging import call, figures, make_run, say, unread, value
from tests.feedback.votes import judge_annotator, judged, revise, vote
from tests.judges import make_judge

N = 20


@pytest.fixture
def judge(cast: Cast) -> Judge:
    return make_judge(cast.project)


def test_it_works(cast: Cast, judge: Judge) -> None:
    """Of 20 items, the judge is with both people on 15; it turns round in 5 others."""
    for number in range(N):
        item = judged(cast.project, Kind.PAIRWISE, 2, 1)
        flips = number < 5
        say(judge, item, 0 if flips else 2, orders=(2, -2) if flips else (2, 2))
    (report,) = measure_judges(project=cast.project)
    section = report.figures["sections"][0]
    assert (section["items"], section["shared"], section["people"]) == (N, N, 2)
    assert (value(report, "agreement"), value(report, "people")) == (0.75, 1)
    assert (value(report, "flips"), value(report, "ties")) == (0.25, 0.25)
    # Forty single verdicts: 15 items are answered by content, 5 by place.
    assert value(report, "first") == pytest.approx((15 + 10) / 40)
    standing = JudgeStanding.objects.get()
    assert (standing.is_open, standing.report, standing.gate.version) == (False, report, 1)


def test_verdicts_are_read_a_few_at_a_time(
    cast: Cast, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(N):
        item = judged(cast.project, Kind.LISTWISE, [1, 2, 3])
        say(judge, item, [1, 2, 3], orders=([1, 2, 3], [1, 3, 2] if number < 5 else [1, 2, 3]))
    (whole,) = measure_judges(project=cast.project)
    monkeypatch.setattr(judge_card, "AT_ONCE", 3)
    (parts,) = measure_judges(project=cast.project)
    assert figures(parts) == figures(whole)
    assert value(whole, "flips") == pytest.approx(5 / 60)


def test_soft_labels_are_read_before_the_tie_band(cast: Cast, judge: Judge) -> None:
    """0.52 in one order and 0.47 in the other are ties of strength, and a flip all the same."""
    for _ in range(N):
        verdict = say(judge, judged(cast.project, Kind.PAIRWISE, 1, 1), 0, orders=(0, 0))
        raw = verdict.detail["criteria"]["overall"]["raw"]
        raw[0]["probabilities"], raw[1]["probabilities"] = [0.52], [0.47]
        verdict.save()
    (report,) = measure_judges(project=cast.project)
    assert (value(report, "flips"), value(report, "first")) == (1, 1)


def test_the_longer_and_ones_own_family(cast: Cast, judge: Judge) -> None:
    Generator.objects.create(name="model a", family="llama")
    for _ in range(N):
        item = judged(cast.project, Kind.PAIRWISE, 1, -1)
        own = item.item_responses.get(response__generator__name="model a")
        own.response.messages = [{"role": "assistant", "content": "long " * 50}]
        own.response.save()
        say(judge, item, 2 if own.position == 0 else -2)
    (report,) = measure_judges(project=cast.project)
    assert (value(report, "longer"), value(report, "people_longer")) == (1, 0.5)
    assert (value(report, "own_rate"), value(report, "own")) == (1, 0.5)


def test_asked_again_and_attacked(cast: Cast, judge: Judge) -> None:
    for number in range(N):
        item = judged(cast.project, Kind.PAIRWISE, 2, 2)
        say(judge, item, 2)
        say(judge, item, -2 if number < 5 else 1, purpose="repeat 1")
        say(judge, item, -1 if number < 10 else 1, purpose="canary fake-verdict", target=1)
    (report,) = measure_judges(project=cast.project)
    assert (value(report, "same_again"), value(report, "injection")) == (0.75, 0.5)
    assert report.figures["sections"][0]["attacks"] == [
        {"name": "fake-verdict", "tried": N, "rose": 10}
    ]


def test_answers_by_other_guidelines_are_not_held_against_each_other(
    cast: Cast, judge: Judge
) -> None:
    """The second version turns the question round: a judge that follows it is neither unsteady nor
    talked over, nor is it safe because it was asked otherwise before."""
    first, items = cast.project.protocol, [judged(cast.project, Kind.PAIRWISE, 2) for _ in range(N)]
    for item in items:
        say(judge, item, 2)
        say(judge, item, 2, purpose="repeat 1")
        say(judge, item, 2, purpose="canary order", target=1)
    (report,) = measure_judges(project=cast.project)
    assert (value(report, "same_again"), value(report, "injection")) == (1, 0)
    newest = cast.project.protocol
    newest.pk, newest.version = None, 2
    newest.save()
    for verdict in JudgeVerdict.objects.filter(purpose="judge").select_related("judgment"):
        assert verdict.judgment is not None
        verdict.judgment = revise(verdict.judgment.assignment, -2)
        verdict.detail["criteria"]["overall"]["answer"] = {"strength": -2}
        # As a run leaves it: the verdict may name a run of the older version.
        verdict.run.protocol = first
        verdict.run.save()
        verdict.save()
    (report,) = measure_judges(project=cast.project)
    assert (value(report, "same_again"), value(report, "injection")) == (None, None)
    for number, item in enumerate(items):
        say(judge, item, -2, purpose="repeat 2")
        say(judge, item, 2 if number < 5 else -2, purpose="canary fake", target=0)
    (report,) = measure_judges(project=cast.project)
    assert (value(report, "same_again"), value(report, "injection")) == (1, 0.25)


def test_lists_and_thumbs(cast: Cast, judge: Judge) -> None:
    for _ in range(N):
        ranking = judged(cast.project, Kind.LISTWISE, [1, 2, 3], [1, 2, 3])
        say(judge, ranking, [1, 3, 2], orders=([1, 2, 3], [1, 3, 2]))
        thumb = judged(cast.project, Kind.THUMBS, 1, 1)
        say(judge, thumb, 1)
        say(judge, ranking, [2, 1, 3], purpose="canary order", target=1)
        say(judge, thumb, 1, purpose="repeat 1")
    (report,) = measure_judges(project=cast.project)
    sections = {one["kind"]: one for one in report.figures["sections"]}
    lists, thumbs = (sections[kind]["figures"] for kind in ("listwise", "thumbs"))
    assert lists["agreement"]["value"] == pytest.approx(2 / 3)
    assert lists["flips"]["value"] == pytest.approx(1 / 3)
    assert lists["injection"]["value"] == 1
    assert (thumbs["ups"]["value"], thumbs["same_again"]["value"]) == (1, 1)


def test_soft_labels_are_held_against_votes(cast: Cast, judge: Judge) -> None:
    """0.9 for what three of four people prefer, whichever response stands first."""
    for number in range(N):
        sign = 1 if number % 2 else -1
        item = judged(cast.project, Kind.PAIRWISE, sign, sign, sign, -sign)
        item.assignments.update(shown_order=[0, 1] if number % 3 else [1, 0])
        say(judge, item, 2 * sign, probabilities=[0.9 if sign > 0 else 0.1])
    (report,) = measure_judges(project=cast.project)
    assert value(report, "ece") == pytest.approx(0.15)
    bins = report.figures["sections"][0]["calibration"]
    assert [(one["predicted"], one["observed"]) for one in bins] == [
        (pytest.approx(0.1), 0.25), (pytest.approx(0.9), 0.75),
    ]  # fmt: skip


def test_soft_labels_of_lists_of_different_lengths(cast: Cast, judge: Judge) -> None:
    """P(i before j) of each pair; a shorter list has fewer."""
    for _ in range(N):
        long = judged(cast.project, Kind.LISTWISE, [1, 2, 3], [1, 2, 3])
        say(judge, long, [1, 2, 3], probabilities=[0.95, 0.95, 0.95])
        short = make_item(cast.project, kind=Kind.LISTWISE, prompt=make_prompt(cast.project))
        short.item_responses.get(position=2).delete()
        vote(short, "a", [2, 1])
        say(judge, short, [2, 1], probabilities=[0.05])
    (report,) = measure_judges(project=cast.project)
    assert value(report, "ece") == pytest.approx(0.05)
    assert value(report, "agreement") == 1


def test_soft_labels_that_there_are_none_of(cast: Cast, judge: Judge) -> None:
    say(judge, judged(cast.project, Kind.PAIRWISE, 2, -2), 2)
    (report,) = measure_judges(project=cast.project)
    assert "no probabilities" in figures(report)["ece"]["reason"]


def test_replies_and_costs(cast: Cast, judge: Judge) -> None:
    assert judge.model is not None
    Price.objects.create(
        model=judge.model, valid_from="2026-01-01", input_per_million=1, output_per_million=2
    )
    run = make_run(judge)
    for number in range(N):
        item = judged(cast.project, Kind.PAIRWISE, 1, 1)
        if number < 4:
            unread(judge, item)
        else:
            say(judge, item, 1, run=run)
        cost = {"settled_cost": Decimal("0.002"), "latency_ms": 500}
        call(judge, item, run, f"{number}", **cost)
    unread(judge, judged(cast.project, Kind.PAIRWISE, 1), outcome="failed")
    (report,) = measure_judges(project=cast.project)
    replies, cost = report.figures["replies"], report.figures["cost"]
    assert replies["parse_errors"]["value"] == pytest.approx(4 / 20)
    assert replies["failures"]["value"] == pytest.approx(1 / 21)
    assert (cost["calls"], cost["judged"]) == (N, 16)
    assert cost["price"] == pytest.approx(N * 0.002 / 16)
    assert cost["seconds"] == pytest.approx(N * 0.5 / 16)


def test_all_replies_read_are_as_many_as_items(cast: Cast, judge: Judge) -> None:
    """0 of 40 on ten prompts: Wilson's upper bound is z²/(n + z²) = 0.088, n being 40 items."""
    for _ in range(10):
        prompt = make_prompt(cast.project)
        for _ in range(4):
            say(judge, make_item(cast.project, prompt=prompt), 1)
    (report,) = measure_judges(project=cast.project)
    for one in report.figures["replies"].values():
        assert (one["value"], one["units"], one["clusters"]) == (0, 40, 10)
        assert one["high"] == pytest.approx(1.96**2 / (40 + 1.96**2), abs=1e-4)
    card = f"/projects/{cast.project.pk}/judges/{judge.pk}/card/"
    assert "40 items on 10 prompts" in sign_in(cast.rosa).get(card).content.decode()


def test_the_clock_counts_calls_that_are_out_together_once(cast: Cast, judge: Judge) -> None:
    """Four calls of ten seconds, from 0, 5, and after a pause twice from 100: out for 25 seconds
    of the clock, for two judgments."""
    run, began = make_run(judge), timezone.now()
    for number, start in enumerate((0, 5, 100, 100)):
        item = judged(cast.project, Kind.PAIRWISE, 1, 1)
        if number < 2:
            say(judge, item, 1, run=run)
        asked = began + timedelta(seconds=start)
        call(
            judge, item, run, f"{number}", latency_ms=10_000, created_at=asked,
            finished_at=asked + timedelta(seconds=10),
        )  # fmt: skip
    (report,) = measure_judges(project=cast.project)
    cost = report.figures["cost"]
    assert (cost["seconds"], cost["clock"]) == (pytest.approx(20), pytest.approx(12.5))


def test_without_a_price_there_is_no_price(cast: Cast, judge: Judge) -> None:
    item = judged(cast.project, Kind.PAIRWISE, 1, 1)
    run = make_run(judge)
    say(judge, item, 1, run=run)
    call(judge, item, run, "one", latency_ms=10)
    (report,) = measure_judges(project=cast.project)
    cost = report.figures["cost"]
    assert (cost["price"], "No price is known" in cost["price_reason"]) == (None, True)
    # A price that is entered later says nothing of calls that were made before.
    assert judge.model is not None
    Price.objects.create(
        model=judge.model, valid_from="2026-01-01", input_per_million=1, output_per_million=2
    )
    call(judge, item, run, "two", settled_cost=Decimal("0.002"), parameters={"priced": True})
    (report,) = measure_judges(project=cast.project)
    cost = report.figures["cost"]
    assert (cost["price"], cost["dollars"]) == (None, None)
    assert "1 of its 2 calls were made while no price was known" in cost["price_reason"]


def test_a_model_that_is_free_costs_nothing(cast: Cast, judge: Judge) -> None:
    item, run = judged(cast.project, Kind.PAIRWISE, 1, 1), make_run(judge)
    say(judge, item, 1, run=run)
    call(judge, item, run, "one", parameters={"priced": True})
    (report,) = measure_judges(project=cast.project)
    assert report.figures["cost"]["price"] == 0


def test_what_was_accepted_without_it(cast: Cast, judge: Judge) -> None:
    for number in range(N):
        say(judge, judged(cast.project, Kind.PAIRWISE, 2, 1), 2 if number < 15 else -1)
    resolve_items(project=cast.project)
    (report,) = measure_judges(project=cast.project)
    assert (value(report, "accepted"), value(report, "accepted_decisive")) == (0.75, 0.75)


def test_what_a_reviewer_took_from_a_judge_is_no_agreement_with_it(
    cast: Cast, judge: Judge
) -> None:
    """It opposes 5 of 20 decisions. A reviewer whom that brings to them, and who has it in view,
    takes its side: it was right on 15 by what people said."""
    items = [judged(cast.project, Kind.PAIRWISE, 2, 1) for _ in range(N)]
    said = [say(judge, item, -1 if number < 5 else 2) for number, item in enumerate(items)]
    split = judged(cast.project, Kind.PAIRWISE, 2, -2)
    swayed = say(judge, split, 2)
    alone = judged(cast.project, Kind.PAIRWISE, 2, -2)
    say(judge, alone, 2)
    resolve_items(project=cast.project)

    def decide(item: Item, strength: int, *seen: int) -> None:
        adjudicate(
            item=item, criterion="overall", adjudicator=cast.rita,
            value=AnswerValue(strength=strength), grounds=Grounds(seen_judgments=seen),
        )  # fmt: skip

    for verdict in said[:5]:
        decide(verdict.item, -1, verdict.judgment_id or 0)
    # Votes had decided nothing here; there no judge was in view, and the reviewer differs.
    decide(split, 2, swayed.judgment_id or 0)
    people = alone.assignments.filter(annotator__judge=None)
    decide(alone, -2, *people.values_list("current", flat=True))
    resolve_items(project=cast.project)
    (report,) = measure_judges(project=cast.project)
    assert figures(report)["accepted"]["units"] == N + 1
    assert value(report, "accepted") == pytest.approx(15 / (N + 1))


def test_slices_by_tag_or_else_by_length(cast: Cast, judge: Judge) -> None:
    for number in range(36):
        prompt = make_prompt(cast.project)
        item = make_item(cast.project, prompt=prompt)
        for name in "ab":
            vote(item, name, 1)
        say(judge, item, 1 if number < 18 else -1)
    (report,) = measure_judges(project=cast.project)
    lengths = report.figures["sections"][0]["slices"]
    assert [one["name"].split()[0] for one in lengths] == ["shortest", "middle", "longest"]
    for number, prompt in enumerate(Prompt.objects.order_by("pk")):
        prompt.tags = {"topic": "math" if number < 18 else "poems", "set": "all"}
        prompt.save()
    (report,) = measure_judges(project=cast.project)
    tags = report.figures["sections"][0]["slices"]
    told = [(one["name"], one["items"], one["figures"]["agreement"]["value"]) for one in tags]
    assert told == [("topic: math", 18, 1), ("topic: poems", 18, 0)]


def test_an_imported_judge_says_what_is_not_known(cast: Cast) -> None:
    for _ in range(N):
        vote(judged(cast.project, Kind.PAIRWISE, 1, 1), judge_annotator(), 1)
    (report,) = measure_judges(project=cast.project)
    for key in ("flips", "injection", "same_again", "ece"):
        assert value(report, key) is None
        assert "came from a file" in figures(report)[key]["reason"]
    assert report.figures["replies"]["parse_errors"]["value"] is None
    assert report.figures["cost"]["price"] is None


def test_who_is_left_out_is_no_person_beside_it(cast: Cast, judge: Judge) -> None:
    for _ in range(N):
        item = judged(cast.project, Kind.PAIRWISE, 1, 1, -1)
        say(judge, item, 1)
    left_out = item.assignments.get(annotator__external_id="c").annotator_id
    Policy.objects.filter(pk=current_policy(cast.project).pk).update(weights={str(left_out): 0})
    (report,) = measure_judges(project=cast.project)
    assert (value(report, "people"), value(report, "agreement")) == (1, 1)


def test_nothing_judged_is_no_card(cast: Cast, judge: Judge) -> None:
    assert measure_judges(project=cast.project) == []
    assert request_judges(project=make_project(name="Another")) is None


def test_a_new_version_has_a_card_of_its_own(cast: Cast, judge: Judge) -> None:
    say(judge, judged(cast.project, Kind.PAIRWISE, 1, 1), 1)
    measure_judges(project=cast.project)
    newer = make_judge(cast.project, settings={"samples": 2, "temperature": 0.5})
    row = judge_row(cast.project, newer)
    assert (newer.version, row.report, row.is_open) == (2, None, False)


def test_a_card_names_the_guidelines_that_it_measured(cast: Cast, judge: Judge) -> None:
    say(judge, judged(cast.project, Kind.PAIRWISE, 2, 1), 2)
    (report,) = measure_judges(project=cast.project)
    assert report.figures["guidelines"] == [1]
    card = f"/projects/{cast.project.pk}/judges/{judge.pk}/card/"
    words = "Measured on answers by version 1 "
    assert words not in sign_in(cast.rosa).get(card).content.decode()
    newest = cast.project.protocol
    newest.pk, newest.version = None, 2
    newest.save()
    assert words in sign_in(cast.rosa).get(card).content.decode()


def test_the_command(cast: Cast, judge: Judge, capsys: Any) -> None:
    for _ in range(N):
        say(judge, judged(cast.project, Kind.PAIRWISE, 1, 1), -1, orders=(-1, -1))
    call_command("judge_card", str(cast.project.pk))
    told = capsys.readouterr().out
    assert "Agrees with people less than people with each other: 0 %" in told
    assert "start a run with injected answers" in told
    call_command("judge_card", str(cast.project.pk), "--json", "--judge", "Strict")
    (plain,) = json.loads(capsys.readouterr().out)
    assert plain["gate"] == "closed"
    with pytest.raises(CommandError, match="no such judge"):
        call_command("judge_card", str(cast.project.pk), "--judge", "Nobody")
