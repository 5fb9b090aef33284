"""The reviewers' pages: blind first, then the votes, then names; and what is told of it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.models import Assignment, Item, Judgment, Kind
from feedback.models import Adjudication, Preference
from feedback.selectors import adjudicated
from feedback.selectors.adjudicated import reviewers_of
from feedback.selectors.judgments import judgment_rows
from feedback.selectors.review_queue import waiting
from feedback.selectors.review_votes import seen_judgments
from feedback.selectors.votes import load_votes
from feedback.services.resolve_items import resolve_items
from tests.cast import Cast, annotator_of
from tests.feedback.reviewing import CONTESTED, Reviewer, answer_form, contest, order
from tests.feedback.votes import judge_annotator, open_gate, vote


@pytest.fixture
def rita(cast: Cast) -> Reviewer:
    return Reviewer(cast, cast.rita)


# The two steps


@pytest.mark.parametrize("kind", Kind.values)
def test_blind_then_anonymous_then_named(cast: Cast, rita: Reviewer, kind: str) -> None:
    item = contest(cast, kind=kind)
    vote(item, annotator_of(cast.bob), CONTESTED[kind][0])
    vote(item, annotator_of(cast.lena), CONTESTED[kind][1])
    resolve_items(project=cast.project)
    blind = rita.get().content.decode()
    secrets = ["annotator ", "Bob", "model a", str(item.responses.all()[0].uuid), "seen-"]
    assert not [secret for secret in secrets if secret in blind]
    assignment = rita.open()
    shown = rita.answer(assignment).content.decode()
    assert shown.count('<li class="vote">') == 4
    assert "Annotator 4" in shown
    assert not [secret for secret in ["annotator ", "Bob", "model a"] if secret in shown]
    named = rita.client.get(rita.url("reveal", assignment) + "?named=1").content.decode()
    assert "Bob" in named
    assert "model a" in named
    assert rita.decide(assignment, named="1").status_code == 302
    row = Adjudication.objects.get()
    assert (row.named, row.note, row.adjudicator) == (True, "Because.", cast.rita)
    assert row.blind == Judgment.objects.get(assignment=assignment)
    assert len(row.seen_judgments) == 4
    assert Preference.objects.newest().get().state == "adjudicated"
    assert "Nothing waits" in rita.get().content.decode()


def test_a_judge_with_a_closed_gate_is_neither_shown_nor_argued_with(
    cast: Cast, rita: Reviewer
) -> None:
    item = contest(cast, 2, 2, -2, -2)
    hidden = vote(item, judge_annotator("closed"), 0)
    shown = vote(item, judge_annotator("believed"), 0)
    others = vote(item, judge_annotator("unmeasured"), 0)
    open_gate(cast.project, judge_annotator("believed"))
    open_gate(cast.project, judge_annotator("unmeasured"), Kind.LISTWISE)
    resolve_items(project=cast.project)
    rita.get()
    assignment = rita.open()
    page = rita.answer(assignment).content.decode()
    assert page.count('<li class="vote">') == 5
    assert "1 sees a tie" in page
    assert "judges that are models say it is a tie" in page
    page = rita.client.get(rita.url("reveal", assignment) + "?named=1").content.decode()
    assert ("believed" in page, "closed" in page, "unmeasured" in page) == (True, False, False)
    sent = f"{hidden.pk},{shown.pk},{others.pk}"
    assert seen_judgments(sent, assignment, ["overall"]) == [shown.pk]


def test_the_answer_is_turned_to_canonical_order(cast: Cast, rita: Reviewer) -> None:
    contest(cast)
    assignment = rita.open()
    rita.answer(assignment, **{"strength-overall": 3})
    rita.decide(assignment, **{"strength-overall": -1})
    sign = 1 if assignment.shown_order[0] == 0 else -1
    row = Adjudication.objects.get()
    assert row.blind
    assert (row.blind.answers.get().strength, row.strength) == (3 * sign, -sign)


def test_the_blind_answer_is_given_once(cast: Cast, rita: Reviewer) -> None:
    contest(cast)
    assignment = rita.open()
    for strength in (3, -3):
        rita.answer(assignment, **{"strength-overall": strength})
    judgment = Judgment.objects.get(assignment=assignment)
    assert abs(judgment.answers.get().strength or 0) == 3
    assert (judgment.answers.get().strength == 3) is (assignment.shown_order[0] == 0)


def test_nobody_decides_before_they_answered(cast: Cast, rita: Reviewer) -> None:
    contest(cast)
    assignment = rita.open()
    assert rita.client.get(rita.url("reveal", assignment)).status_code == 302
    seen = Preference.objects.newest().get().pk
    form = answer_form() | {"seen-overall": seen}
    assert rita.client.post(rita.url("decide", assignment), form).status_code == 400
    assert not Adjudication.objects.exists()


def test_reviews_enter_nothing_that_is_counted(cast: Cast, rita: Reviewer) -> None:
    item = contest(cast)
    before = [row for row in judgment_rows(cast.project) if row["is_counted"]]
    assignment = rita.open()
    rita.answer(assignment)
    rita.decide(assignment)
    assert len(load_votes(cast.project, Kind.PAIRWISE, "overall")) == 2
    rows = list(judgment_rows(cast.project))
    assert [row for row in rows if row["is_counted"]] == before
    assert [row["occasion"] for row in rows if not row["is_counted"]] == ["review"]
    item.refresh_from_db()
    assert item.open_slots == 2


def test_later_means_last(cast: Cast, rita: Reviewer) -> None:
    first, second = contest(cast), contest(cast)
    one = rita.open()
    rita.client.post(rita.url("adjudication-later", one))
    assert rita.open().item == second
    assert order(cast) == [second.pk, first.pk]
    assert order(cast, cast.rosa)[0] == first.pk
    assert not Item.objects.exclude(skips=0).exists()


def test_left_undecided_it_comes_again_with_its_votes(cast: Cast, rita: Reviewer) -> None:
    contest(cast)
    assignment = rita.open()
    rita.answer(assignment)
    page = rita.get().content.decode()
    assert 'data-step="decide"' in page
    assert rita.url("decide", assignment) in page
    # Another reviewer may have it once this one has left it alone for the length of a lease.
    assert order(cast, cast.rosa) == []
    Assignment.objects.filter(pk=assignment.pk).update(
        finished_at=timezone.now() - timedelta(hours=1)
    )
    assert order(cast, cast.rosa) == [assignment.item_id]


def test_somebody_was_quicker(cast: Cast, rita: Reviewer) -> None:
    contest(cast)
    mine = rita.open()
    rita.answer(mine)
    Assignment.objects.filter(pk=mine.pk).update(finished_at=timezone.now() - timedelta(hours=1))
    rosa = Reviewer(cast, cast.rosa)
    theirs = rosa.open()
    rosa.answer(theirs)
    shown = answer_form() | {"seen-overall": Preference.objects.newest().get().pk}
    rosa.decide(theirs)
    refused = rita.client.post(rita.url("decide", mine), shown)
    assert refused.status_code == 409
    assert "changed since you opened it" in refused.content.decode()
    assert Adjudication.objects.get().adjudicator == cast.rosa


def test_excluding_sending_back_and_gold(cast: Cast, rita: Reviewer) -> None:
    for _ in range(2):
        contest(cast)
    for why, verdict in (("exclude", "excluded"), ("more", "sent back")):
        assignment = rita.open()
        rita.answer(assignment)
        rita.decide(assignment, why=why, more="2")
        assert Adjudication.objects.first().verdict == verdict  # type: ignore[union-attr]
    assert Item.objects.get(pk=assignment.item_id).overlap == 4
    contest(cast)
    rosa = Reviewer(cast, cast.rosa)
    assignment = rosa.open()
    rosa.answer(assignment)
    rosa.decide(assignment, gold="1")
    item = Item.objects.get(pk=assignment.item_id)
    assert item.is_gold
    assert abs(item.gold_answers.get().expected["strength"]) == 2


def test_a_reviewer_cannot_set_gold(cast: Cast, rita: Reviewer) -> None:
    contest(cast)
    assignment = rita.open()
    assert "Set as gold" not in rita.answer(assignment).content.decode()
    rita.decide(assignment, gold="1")
    assert not Item.objects.get().is_gold


@pytest.mark.parametrize(
    "form",
    [
        {"seen-overall": ""}, {"seen-overall": "x"}, {"seen-overall": "9" * 30},
        {"strength-overall": "9"}, {"client_key": ""}, {"why": "more", "more": "0"},
        {"why": "more", "more": "many"}, {"why": "more", "more": "10"},
    ],
)  # fmt: skip
def test_nonsense_is_refused(cast: Cast, rita: Reviewer, form: dict[str, str]) -> None:
    contest(cast)
    assignment = rita.open()
    rita.answer(assignment)
    assert rita.decide(assignment, **form).status_code == 400
    assert not Adjudication.objects.exists()


def test_taking_back_opens_the_item_again(cast: Cast, rita: Reviewer) -> None:
    contest(cast)
    assignment = rita.open()
    rita.answer(assignment, **{"strength-overall": 3})
    rita.decide(assignment, **{"strength-overall": -1})
    assert 'id="undo"' in rita.get().content.decode()
    address = reverse("feedback:adjudication-undo", args=[cast.project.pk, assignment.item_id])
    page = rita.client.post(address, follow=True).content.decode()
    # What was decided is chosen again, not the blind answer.
    assert re.search(r'value="-1" checked', page)
    assert waiting(cast.project).count() == 1
    assert rita.client.post(address).status_code == 409


def test_a_swap_brings_the_next_and_moves_the_address(cast: Cast, rita: Reviewer) -> None:
    contest(cast)
    contest(cast)
    assignment = rita.open()
    htmx = {"HX-Request": "true"}
    reply = rita.client.post(
        rita.url("adjudication-answer", assignment), answer_form(), headers=htmx
    )
    assert reply["HX-Push-Url"] == rita.url("reveal", assignment)
    assert b"<html" not in reply.content
    names = rita.client.get(
        rita.url("reveal", assignment) + "?named=1", headers=htmx | {"HX-Target": "votes"}
    )
    assert names.content.strip().startswith(b'<div id="votes"')
    assert b'id="answer"' not in names.content
    form = answer_form() | {
        "seen-overall": Preference.objects.newest().get(item=assignment.item).pk
    }
    reply = rita.client.post(rita.url("decide", assignment) + "?kind=pairwise", form, headers=htmx)
    assert b"1 waits" in reply.content
    assert reply["HX-Push-Url"].endswith("?kind=pairwise")


def test_an_empty_choice_says_so(cast: Cast, rita: Reviewer) -> None:
    contest(cast)
    assert "Nothing of this choice waits" in rita.get("?kind=thumbs").content.decode()
    assert "Nothing of this choice waits" in rita.get("?cause=%00nonsense").content.decode()
    Reviewer(cast, cast.rosa).open()
    assert "Others are at it" in rita.get().content.decode()


def test_criteria_that_the_protocol_no_longer_asks_for(cast: Cast, rita: Reviewer) -> None:
    contest(cast)
    cast.project.protocols.create(
        version=2, kinds=["pairwise"], criteria=[{"key": "new", "name": "New", "definition": ""}]
    )
    assignment = rita.open()
    rita.answer(assignment)
    rita.decide(assignment)
    assert Judgment.objects.get(assignment=assignment).protocol.version == 1
    assert Preference.objects.newest().get().state == "adjudicated"


def test_gold_and_decision_stand_or_fall_together(cast: Cast) -> None:
    """The protocol in force asks something else, so the answer can be no gold."""
    contest(cast)
    cast.project.protocols.create(
        version=2, kinds=["pairwise"], criteria=[{"key": "new", "name": "New", "definition": ""}]
    )
    rosa = Reviewer(cast, cast.rosa)
    assignment = rosa.open()
    rosa.answer(assignment)
    refused = rosa.decide(assignment, gold="1")
    assert "has no criterion" in refused.content.decode()
    assert not Adjudication.objects.exists()
    assert Preference.objects.newest().get().state == "contested"


# What is told of it afterwards


def test_the_report_and_the_item_page(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        contest(cast, 2, 2, -1, -1, 1)
        rosa = Reviewer(cast, cast.rosa)
        assignment = rosa.open()
        first = 1 if assignment.shown_order[0] == 0 else -1
        blind = first if number % 2 else -first
        rosa.answer(assignment, **{"strength-overall": blind})
        rosa.decide(assignment, **{"strength-overall": first})
    [one] = reviewers_of(cast.project)
    assert (one.agreed.words, one.changed.words, one.followed.words) == (
        "2 of 4",
        "2 of 4",
        "2 of 2",
    )
    assert one.agreed.interval == "too few for an interval"
    page = rosa.client.get(reverse("feedback:adjudicated", args=[cast.project.pk])).content.decode()
    assert page.count("2 × A better") == 4
    assert "A slightly better" in page
    address = reverse("feedback:item-decisions", args=[cast.project.pk, assignment.item_id])
    assert "Because." in rosa.client.get(address).content.decode()
    monkeypatch.setattr(adjudicated, "NEWEST", 3)
    [one] = reviewers_of(cast.project)
    assert one.changed.of == 3


def test_a_word_taken_back_tells_nothing_of_what_waits(cast: Cast, rita: Reviewer) -> None:
    contest(cast)
    assignment = rita.open()
    rita.answer(assignment)
    rita.decide(assignment)
    rita.client.post(
        reverse("feedback:adjudication-undo", args=[cast.project.pk, assignment.item_id])
    )
    page = rita.client.get(reverse("feedback:adjudicated", args=[cast.project.pk])).content.decode()
    assert "Taken back" in page
    assert "Because." not in page
    assert "better" not in page
    assert reviewers_of(cast.project) == []


def test_what_was_sent_back_tells_nothing_of_its_votes(cast: Cast, rita: Reviewer) -> None:
    contest(cast)
    assignment = rita.open()
    rita.answer(assignment)
    rita.decide(assignment, why="more", more="2")
    address = reverse("feedback:adjudicated", args=[cast.project.pk])
    page = Reviewer(cast, cast.rosa).client.get(address).content.decode()
    assert "Sent back" in page
    assert "better" not in page
    assert "Because." not in page


# Who may


def test_strangers_and_weaker_roles(cast: Cast, rita: Reviewer) -> None:
    contest(cast)
    assignment = rita.open()
    project = cast.project.pk
    gets = [
        reverse("feedback:adjudication", args=[project]),
        reverse("feedback:adjudicated", args=[project]),
        rita.url("reveal", assignment),
    ]
    posts = [
        rita.url(name, assignment)
        for name in (
            "adjudication-answer",
            "adjudication-later",
            "adjudication-heartbeat",
            "decide",
        )
    ] + [reverse("feedback:adjudication-undo", args=[project, assignment.item_id])]
    for user, status in ((cast.mallory, 404), (cast.bob, 403)):
        client = Reviewer(cast, user).client
        assert {client.get(address).status_code for address in gets} == {status}
        assert {client.post(address, answer_form()).status_code for address in posts} == {status}
    # Another reviewer neither sees nor settles what this one opened.
    rosa = Reviewer(cast, cast.rosa).client
    assert rosa.get(gets[2]).status_code == 404
    assert {rosa.post(address, answer_form()).status_code for address in posts[:4]} == {404}
    address = reverse("feedback:item-decisions", args=[project, assignment.item_id])
    assert rita.client.get(address).status_code == 403
    assert not Judgment.objects.filter(assignment=assignment).exists()


def test_the_heartbeat_keeps_the_item(cast: Cast, rita: Reviewer) -> None:
    contest(cast)
    assignment = rita.open()
    soon = timezone.now() + timedelta(seconds=5)
    Assignment.objects.filter(pk=assignment.pk).update(lease_expires_at=soon)
    assert rita.client.post(rita.url("adjudication-heartbeat", assignment)).status_code == 204
    assignment.refresh_from_db()
    assert assignment.lease_expires_at
    assert assignment.lease_expires_at > soon
