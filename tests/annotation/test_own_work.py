"""The labeler's own page: what it shows, to whom, and what it never tells."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import Assignment, GoldAnswer, Membership, Project
from annotation.selectors.own_work import PAGE, gold_agreement, own_answers, pace_of, page_of
from annotation.share import share_of
from core.models import User
from tests.api import Api
from tests.cast import Cast, make_item, make_project
from tests.own_answers import BETTER, answer, change


def page(user: User, path: str) -> str:
    client = Client()
    client.force_login(user)
    reply = client.get(path)
    assert reply.status_code == 200
    return reply.content.decode()


def own(project: Project) -> str:
    return f"/projects/{project.pk}/my-work/"


def test_an_answer_is_told_as_it_stood_on_the_screen(cast: Cast) -> None:
    assignment = answer(make_item(cast.project), cast.bob, order=[1, 0])
    (shown,) = page_of(own_answers(cast.bob, cast.project), None)
    assert shown.answers == [("Overall", "Response 1 better")]
    assert (shown.seconds, shown.changes) == (12, 0)
    change(assignment, AnswerValue(strength=-1))
    (shown,) = page_of(own_answers(cast.bob, cast.project), None)
    assert shown.answers == [("Overall", "Response 2 slightly better")]
    assert shown.changes == 1
    text = page(cast.bob, own(cast.project))
    assert "changed once" in text
    assert f"/projects/{cast.project.pk}/label/{assignment.pk}/" in text


def test_all_three_kinds_have_words(cast: Cast) -> None:
    answer(make_item(cast.project, kind="thumbs"), cast.bob, AnswerValue(thumb=0))
    ranks = AnswerValue(ranks=(2, 1, 2), acceptable_to=1)
    answer(make_item(cast.project, kind="listwise"), cast.bob, ranks, order=[2, 0, 1])
    text = page(cast.bob, own(cast.project))
    assert "Bad" in text
    assert "Response 2; not acceptable: Response 1 = Response 3" in text


def test_progress_and_pace(cast: Cast) -> None:
    Project.objects.update(daily_target=5)
    for days_ago, seconds in ((0, 10), (0, 20), (3, 40), (40, 1000)):
        answer(make_item(cast.project), cast.bob, days_ago=days_ago, seconds=seconds)
    pace = pace_of(own_answers(cast.bob, cast.project))
    assert (pace.today, pace.total, pace.seconds) == (2, 4, 20)
    assert [(day.answers, day.seconds) for day in pace.days] == [(1, 40), (2, 15)]
    text = page(cast.bob, own(cast.project))
    assert "Answers a day" in text
    assert "2 of 5" in re.sub(r"<[^>]+>", "", text)


def test_nothing_yet_says_what_comes(cast: Cast) -> None:
    for path in (own(cast.project), "/my-work/"):
        assert "No answers yet" in page(cast.bob, path)


def test_the_history_is_paged_without_gaps_or_doubles(cast: Cast) -> None:
    same_moment = timezone.now()
    made = [answer(make_item(cast.project), cast.bob).pk for _ in range(PAGE + 3)]
    Assignment.objects.update(finished_at=same_moment)
    client = Client()
    client.force_login(cast.bob)
    query, seen = "kind=pairwise", []
    for _ in range(2):
        text = client.get(f"{own(cast.project)}?{query}").content.decode()
        seen += [int(number) for number in re.findall(r"/label/(\d+)/", text)]
        older = re.search(r'href="\?([^"]*before=\d+)"', text)
        query = html.unescape(older.group(1)) if older else ""
    assert not query
    assert seen == sorted(made, reverse=True)


def test_it_can_be_narrowed_to_a_project_and_a_kind(cast: Cast) -> None:
    other = make_project(name="Other things")
    Membership.objects.create(project=other, user=cast.bob, role="labeler")
    pair = answer(make_item(cast.project), cast.bob)
    thumb = answer(make_item(other, kind="thumbs"), cast.bob, AnswerValue(thumb=1))

    def listed(query: str) -> set[int]:
        text = page(cast.bob, f"/my-work/?{query}")
        return {int(number) for number in re.findall(r"/label/(\d+)/", text)}

    assert listed("") == {pair.pk, thumb.pk}
    assert listed(f"project={other.pk}") == {thumb.pk}
    assert listed("kind=pairwise") == {pair.pk}
    assert listed(f"project={other.pk}&kind=pairwise") == set()
    assert listed("project=x&kind=y&before=z") == {pair.pk, thumb.pk}


def test_nobody_elses_answers_are_there(cast: Cast) -> None:
    theirs = answer(make_item(cast.project), cast.lena)
    mine = answer(make_item(cast.project), cast.bob)
    for user in (cast.bob, cast.mary, cast.ada):
        assert f"/label/{theirs.pk}/" not in page(user, own(cast.project))
    text = page(cast.bob, f"{own(cast.project)}?before={theirs.pk}")
    assert f"/label/{mine.pk}/" in text


def test_projects_that_one_has_left_are_gone_and_paused_ones_stay(cast: Cast) -> None:
    assignment = answer(make_item(cast.project), cast.bob)
    Membership.objects.filter(user=cast.bob).update(state="paused")
    text = page(cast.bob, own(cast.project))
    assert "Response 1 better" in text
    assert f"/label/{assignment.pk}/" not in text
    Membership.objects.filter(user=cast.bob).update(state="left")
    assert not own_answers(cast.bob).exists()
    client = Client()
    client.force_login(cast.bob)
    assert client.get(own(cast.project)).status_code == 404


def test_gold_and_probes_look_like_any_other_answer(cast: Cast) -> None:
    item = make_item(cast.project)
    gold = make_item(cast.project, is_gold=True)
    answer(item, cast.bob, days_ago=2)
    answer(item, cast.bob, occasion="probe 1", order=[1, 0])
    answer(gold, cast.bob, occasion="gold")
    answer(make_item(cast.project), cast.bob, occasion="review")
    text = page(cast.bob, own(cast.project)).split('class="answers"')[1].split("</ol>")[0]
    entries = re.findall(r"<li class=\"card\">.*?</li>\s*(?=<li class|$)", text, re.DOTALL)
    assert len(entries) == 3
    # When it was is another day, perhaps another month.
    differs = r"<time.*?</time>|\d+(st|nd|rd|th)?|\s+"
    plain = {re.sub(differs, "", entry, flags=re.DOTALL) for entry in entries}
    assert len(plain) == 1
    assert not re.search("gold|probe|review|main", text, re.IGNORECASE)


def gold_items(cast: Cast, count: int, right: int, *, days_ago: float = 2) -> None:
    for number in range(count):
        item = make_item(cast.project, is_gold=True)
        GoldAnswer.objects.create(item=item, criterion="overall", expected={"strength": 3})
        value = BETTER if number < right else AnswerValue(strength=-1)
        answer(item, cast.bob, value, occasion="gold", days_ago=days_ago)


def test_agreement_with_gold_is_told_in_tens_and_a_day_late(cast: Cast) -> None:
    cast.project.shows_gold_agreement = True
    gold_items(cast, 19, 15)
    assert gold_agreement(cast.bob, cast.project) is None
    gold_items(cast, 6, 0)
    share = gold_agreement(cast.bob, cast.project)
    assert share is not None
    assert share.count == 20
    gold_items(cast, 10, 0, days_ago=0.5)
    assert gold_agreement(cast.bob, cast.project) == share
    later = timezone.now() + timedelta(days=1)
    assert gold_agreement(cast.bob, cast.project, now=later).count == 30


def test_agreement_with_gold_is_the_projects_to_show(cast: Cast) -> None:
    gold_items(cast, 20, 16)
    assert gold_agreement(cast.bob, cast.project) is None
    assert "reference answers" not in page(cast.bob, own(cast.project))
    Project.objects.update(shows_gold_agreement=True)
    text = page(cast.bob, own(cast.project))
    assert "80 %" in text
    assert "58 to 92 %" in text


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(16, 20, 0.5840, 0.9193), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_the_interval_is_wilsons(hits: int, count: int, low: float, high: float) -> None:
    """Values of statsmodels' proportion_confint(method="wilson")."""
    share = share_of(hits, count)
    assert (share.low, share.high) == pytest.approx((low, high), abs=1e-4)


def test_it_costs_the_same_for_many(cast: Cast, django_assert_max_num_queries) -> None:
    for _ in range(PAGE):
        answer(make_item(cast.project), cast.bob)
    client = Client()
    client.force_login(cast.bob)
    with django_assert_max_num_queries(12):
        client.get("/my-work/")


def test_a_program_reads_ones_own_answers_blind(cast: Cast) -> None:
    pair = answer(make_item(cast.project), cast.bob, order=[1, 0])
    answer(make_item(cast.project, is_gold=True), cast.bob, occasion="gold")
    answer(make_item(cast.project, kind="thumbs"), cast.bob, AnswerValue(thumb=1))
    answer(make_item(cast.project), cast.lena)
    change(pair, AnswerValue(strength=-3))
    api = Api(cast.bob)
    rows = api.get("own-judgments").json()["results"]
    assert [row["kind"] for row in rows] == ["thumbs", "pairwise", "pairwise"]
    assert rows[2]["answers"]["overall"]["strength"] == -3
    assert (rows[2]["revision"], rows[1]["revision"]) == (2, 1)
    assert not {"occasion", "item", "state"} & set(rows[1])
    assert len(api.get("own-judgments", {"kind": "thumbs"}).json()["results"]) == 1
    other = {"project": cast.project.pk + 1}
    assert api.get("own-judgments", other).json()["results"] == []
