"""Votes become preferences, for all three kinds alike."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotation.models import Assignment, Item, ItemResponse, Kind
from core import jobs
from core.models import Job
from feedback.models import Policy, Preference, Resolution, StaleItem
from feedback.selectors.votes import load_votes
from feedback.services.policy import current_policy
from feedback.services.resolve_items import resolve_items, resolve_stale
from feedback.tasks import look_for_news
from tests.cast import Cast, make_item, make_response
from tests.feedback.votes import judge_annotator, judged, open_gate, revise, vote

State = Preference.State


def preference(item: Item, criterion: str = "overall") -> Preference:
    return Preference.objects.newest().get(item=item, criterion=criterion)


@pytest.mark.parametrize(
    ("kind", "values", "state", "outcome"),
    [
        (Kind.PAIRWISE, [2], State.WAITING, {}),
        (Kind.PAIRWISE, [2, 1], State.ACCEPTED, {"strength": 1.5, "both_bad": False}),
        (Kind.PAIRWISE, [1, 1, -3], State.ACCEPTED, {"strength": 1.0, "both_bad": False}),
        (Kind.PAIRWISE, [0, 0, 2], State.TIED, {"strength": 0.0, "both_bad": False}),
        (Kind.PAIRWISE, [2, -2], State.CONTESTED, {"strength": -2.0, "both_bad": False}),
        (Kind.PAIRWISE, [2, 0, -1], State.CONTESTED, {"strength": -1.0, "both_bad": False}),
        (Kind.THUMBS, [1, 1], State.ACCEPTED, {"thumb": 1}),
        (Kind.THUMBS, [0, 0, 1], State.ACCEPTED, {"thumb": 0}),
        (Kind.THUMBS, [0, 1], State.CONTESTED, {"thumb": 0}),
        (Kind.LISTWISE, [[1, 2, 3]], State.WAITING, {}),
        (Kind.LISTWISE, [[1, 2, 3], [1, 2, 3]], State.ACCEPTED, {"ranks": [1, 2, 3]}),
        (Kind.LISTWISE, [[1, 2, 3], [1, 3, 2]], State.ACCEPTED, {"ranks": [1, 2, 2]}),
        (Kind.LISTWISE, [[1, 1, 1], [1, 1, 1]], State.TIED, {"ranks": [1, 1, 1]}),
        (Kind.LISTWISE, [[1, 2, 3], [3, 2, 1]], State.CONTESTED, {"ranks": [1, 1, 1]}),
    ],
)
def test_it_works(cast: Cast, kind: str, values: Any, state: str, outcome: Any) -> None:
    item = judged(cast.project, kind, *values)
    resolve_items(project=cast.project)
    row = preference(item)
    assert (row.state, row.outcome) == (state, outcome)
    assert (row.support_people, row.support_judges) == (len(values), 0)
    assert len(row.judgment_ids) == len(values)


def test_probability_is_of_the_first_response(cast: Cast) -> None:
    pair = judged(cast.project, Kind.PAIRWISE, 2, 1, 0)
    rows = judged(cast.project, Kind.LISTWISE, [1, 2, 3], [1, 3, 2])
    resolve_items(project=cast.project)
    assert preference(pair).probabilities == [pytest.approx(3 / 4)]
    assert preference(rows).probabilities == pytest.approx([2.5 / 3, 2.5 / 3, 0.5], abs=1e-6)


def test_the_acceptable_line_is_the_majoritys(cast: Cast) -> None:
    item = make_item(cast.project, kind=Kind.LISTWISE)
    for name, line in (("a", 2), ("b", 2), ("c", 0)):
        vote(item, name, [1, 2, 3], acceptable_to=line)
    resolve_items(project=cast.project)
    assert preference(item).outcome == {"ranks": [1, 2, 3], "acceptable_to": 2}


def test_both_bad_is_kept(cast: Cast) -> None:
    item = make_item(cast.project)
    for name in "ab":
        vote(item, name, 0, both_bad=True)
    resolve_items(project=cast.project)
    assert preference(item).outcome == {"strength": 0.0, "both_bad": True}


def test_again_adds_nothing(cast: Cast) -> None:
    judged(cast.project, Kind.PAIRWISE, 2, 1)
    assert resolve_items(project=cast.project).changed == 1
    assert resolve_items(project=cast.project).changed == 0
    assert Preference.objects.count() == 1


def test_a_change_adds_a_row_and_the_newest_wins(cast: Cast) -> None:
    item = judged(cast.project, Kind.PAIRWISE, 2)
    resolve_items(project=cast.project)
    vote(item, "b", 1)
    resolve_items(project=cast.project)
    states = list(Preference.objects.order_by("pk").values_list("state", "is_newest"))
    assert states == [(State.WAITING, False), (State.ACCEPTED, True)]


def test_only_the_current_revision_counts(cast: Cast) -> None:
    item = judged(cast.project, Kind.PAIRWISE, 2, -1)
    revise(Assignment.objects.get(annotator__external_id="b"), 1)
    resolve_items(project=cast.project)
    assert preference(item).outcome["strength"] == 1.5


@pytest.mark.parametrize(
    "fields", [{"occasion": "gold"}, {"occasion": "probe 1"}, {"state": "surplus"}]
)
def test_other_occasions_and_surplus_do_not_count(cast: Cast, fields: dict[str, str]) -> None:
    item = judged(cast.project, Kind.PAIRWISE, 2)
    vote(item, "b", 2, **fields)
    resolve_items(project=cast.project)
    assert preference(item).state == State.WAITING


def test_judges_count_only_where_the_policy_says_so(cast: Cast) -> None:
    item = judged(cast.project, Kind.PAIRWISE, 2)
    vote(item, judge_annotator(), 2)
    open_gate(cast.project, judge_annotator())
    resolve_items(project=cast.project)
    assert (preference(item).state, preference(item).support_judges) == (State.WAITING, 0)
    Policy.objects.filter(pk=current_policy(cast.project).pk).update(count_judges=True)
    resolve_items(project=cast.project)
    row = preference(item)
    assert (row.state, row.support_people, row.support_judges) == (State.ACCEPTED, 1, 1)


def test_a_believed_judge_counts_with_its_probability(cast: Cast) -> None:
    Policy.objects.filter(pk=current_policy(cast.project).pk).update(count_judges=True)
    pair = judged(cast.project, Kind.PAIRWISE, 2)
    vote(pair, judge_annotator(), 1, probabilities=[0.6])
    vote(pair, judge_annotator("closed"), 1, probabilities=[0.0])
    short = judged(cast.project, Kind.LISTWISE, [1, 2, 3])
    vote(short, judge_annotator(), [1, 2, 3], probabilities=[0.6, 0.7, 0.8])
    long = judged(cast.project, Kind.LISTWISE, [1, 2, 3])
    more = make_response(long.prompt, generator="model d")
    ItemResponse.objects.create(item=long, response=more, position=3)
    vote(long, judge_annotator(), [1, 2, 3, 4], probabilities=[0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    open_gate(cast.project, judge_annotator())
    said = load_votes(cast.project, Kind.LISTWISE, "overall").probability
    nothing = float("nan")
    expected = [
        [nothing] * 6,
        [0.6, 0.7, nothing, 0.8, nothing, nothing],
        [nothing] * 6,
        [0.9, 0.8, 0.7, 0.6, 0.5, 0.4],
    ]
    assert said.tolist() == [pytest.approx(row, nan_ok=True) for row in expected]
    resolve_items(project=cast.project)
    assert preference(pair).probabilities == [pytest.approx((1 + 0.6 + 0.5) / 3)]
    whole = [(1 + p + 0.5) / 3 for p in (0.6, 0.7, 0.8)]
    assert preference(short).probabilities == pytest.approx(whole)


def test_weights_and_exclusions(cast: Cast) -> None:
    item = judged(cast.project, Kind.PAIRWISE, 2, -2, -2)
    resolve_items(project=cast.project)
    assert preference(item).outcome["strength"] == -2.0
    first, second = Assignment.objects.order_by("pk").values_list("annotator_id", flat=True)[:2]
    policy = current_policy(cast.project)
    Policy.objects.filter(pk=policy.pk).update(weights={str(first): 3})
    resolve_items(project=cast.project)
    assert preference(item).outcome["strength"] == 2.0
    Policy.objects.filter(pk=policy.pk).update(weights={str(first): 0, str(second): 0})
    resolve_items(project=cast.project)
    assert preference(item).state == State.WAITING


def test_an_item_whose_votes_are_all_excluded_waits_again(cast: Cast) -> None:
    item = judged(cast.project, Kind.PAIRWISE, 2, 2)
    resolve_items(project=cast.project)
    annotators = Assignment.objects.values_list("annotator_id", flat=True)
    weights = dict.fromkeys(map(str, annotators), 0)
    Policy.objects.filter(pk=current_policy(cast.project).pk).update(weights=weights)
    resolve_items(project=cast.project)
    assert (preference(item).state, preference(item).judgment_ids) == (State.WAITING, [])


def test_equal_texts_are_a_tie(cast: Cast) -> None:
    item = make_item(cast.project, origin=Item.Origin.IDENTICAL, overlap=0)
    resolve_items(project=cast.project)
    assert preference(item).state == State.TIED


def test_stale_items_only(cast: Cast) -> None:
    first = judged(cast.project, Kind.PAIRWISE, 2, 2)
    resolve_items(project=cast.project)
    second = judged(cast.project, Kind.PAIRWISE, -1, -1)
    assert set(StaleItem.objects.values_list("item_id", flat=True)) == {second.pk}
    counts = resolve_stale(project=cast.project)
    assert (counts.changed, dict(counts.states)) == (1, {State.ACCEPTED: 1})
    assert not StaleItem.objects.exists()
    assert preference(first).outcome["strength"] == 2.0


def test_a_correction_makes_an_item_stale_and_measuring_needed(cast: Cast) -> None:
    judged(cast.project, Kind.PAIRWISE, 2, 2)
    resolve_items(project=cast.project)
    before = Resolution.objects.get(project=cast.project).judged_at
    revise(Assignment.objects.get(annotator__external_id="b"), -1)
    resolve_stale(project=cast.project)
    assert Resolution.objects.get(project=cast.project).judged_at > before


def test_other_projects_are_left_alone(cast: Cast) -> None:
    from tests.cast import make_project

    other = judged(make_project(name="Other"), Kind.PAIRWISE, 2, 2)
    resolve_items(project=cast.project)
    assert not Preference.objects.filter(item=other).exists()
    assert StaleItem.objects.filter(item_id=other.pk).exists()


def test_reads_are_few(cast: Cast, django_assert_max_num_queries: Any) -> None:
    for _ in range(20):
        judged(cast.project, Kind.PAIRWISE, 2, 2)
    current_policy(cast.project)
    with django_assert_max_num_queries(30):
        resolve_items(project=cast.project)


def test_a_stopped_resolve_is_tried_again(cast: Cast) -> None:
    """Whoever cancels it does not leave the project undecided for ever."""
    judged(cast.project, Kind.PAIRWISE, 2, 2)
    look_for_news()
    job = Job.objects.get(kind="resolve_items")
    jobs.request_cancel(job=job)
    look_for_news()
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED
    Job.objects.update(finished_at=timezone.now() - timedelta(minutes=11))
    look_for_news()
    job.refresh_from_db()
    assert job.state == Job.State.QUEUED
