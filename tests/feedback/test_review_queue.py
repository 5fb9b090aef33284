"""What a reviewer gets next, and that no two get the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotation.models import Assignment, Item, Kind
from annotation.services.expire_leases import expire_leases
from annotation.services.review_item import claim_review
from feedback.models import Preference
from feedback.selectors.review_queue import Filter, queue_of
from feedback.services.resolve_items import resolve_items
from tests.cast import Cast, annotator_of
from tests.feedback.reviewing import State, claim, contest, order
from tests.feedback.votes import judge_annotator, judged, open_gate, vote
from tests.races import in_threads


def test_most_disagreement_first(cast: Cast) -> None:
    mild = contest(cast, 1, -1)
    sharp = contest(cast, 3, -3)
    middling = contest(cast, 3, -1, 1, -2)
    assert order(cast) == [sharp.pk, middling.pk, mild.pk]


def test_the_older_first_among_equals(cast: Cast) -> None:
    items = [contest(cast).pk for _ in range(3)]
    assert order(cast) == items


def test_what_people_agree_on_waits_only_where_judges_contradict(cast: Cast) -> None:
    contested = contest(cast, 1, -1)
    agreed = judged(cast.project, Kind.PAIRWISE, 2, 2, 3)
    contradicted = judged(cast.project, Kind.PAIRWISE, 3, 3, 3)
    vote(agreed, judge_annotator(), 1)
    vote(contradicted, judge_annotator(), -3)
    open_gate(cast.project, judge_annotator())
    resolve_items(project=cast.project)
    assert order(cast) == [contested.pk, contradicted.pk]
    row = Preference.objects.newest().get(item=contradicted)
    assert (row.state, row.cause, row.disagreement) == ("accepted", "judges", 1.0)
    assert order(cast, cause="judges") == [contradicted.pk]
    assert order(cast, cause="even", kind="pairwise", criterion="overall") == [contested.pk]
    assert order(cast, kind="thumbs") == []
    queue = queue_of(cast.project, Filter(cause="judges"))
    assert (queue.items, [one.count for one in queue.facets["cause"]]) == (1, [1, 1])


@pytest.mark.parametrize(
    ("kind", "people", "judge", "waits"),
    [
        (Kind.THUMBS, [1, 1], 0, True),
        (Kind.THUMBS, [1, 1], 1, False),
        (Kind.LISTWISE, [[1, 2, 3], [1, 2, 3]], [3, 2, 1], True),
        (Kind.LISTWISE, [[1, 2, 3], [1, 2, 3]], [2, 1, 3], False),
        (Kind.PAIRWISE, [0, 0], 1, True),
    ],
)
def test_judges_against_people(
    cast: Cast, kind: str, people: list[Any], judge: Any, waits: bool
) -> None:
    item = judged(cast.project, kind, *people)
    vote(item, judge_annotator(), judge)
    open_gate(cast.project, judge_annotator())
    resolve_items(project=cast.project)
    assert bool(order(cast)) is waits


def test_who_judged_it_gets_another_first(cast: Cast) -> None:
    own = contest(cast, 3, -3)
    vote(own, annotator_of(cast.rita), 3)
    vote(own, "z", -3)
    other = contest(cast, 1, -1)
    resolve_items(project=cast.project)
    assert order(cast) == [other.pk, own.pk]
    assert order(cast, cast.rosa) == [own.pk, other.pk]


def test_two_reviewers_do_not_get_the_same(cast: Cast) -> None:
    first, second = contest(cast), contest(cast)
    taken = [claim(cast, user) for user in (cast.rita, cast.rosa, cast.mary)]
    assert [one and one.item for one in taken] == [first, second, None]
    assert {one.takes_slot for one in taken if one} == {False}


def test_one_s_own_comes_back_in_the_same_order(cast: Cast) -> None:
    contest(cast, kind=Kind.LISTWISE)
    first, again = claim(cast, cast.rita), claim(cast, cast.rita)
    assert first
    assert again
    assert (first.pk, first.shown_order) == (again.pk, again.shown_order)


def test_another_choice_gives_the_first_back(cast: Cast) -> None:
    contest(cast)
    thumbs = contest(cast, kind=Kind.THUMBS)
    assert claim(cast, cast.rita)
    claim_review(project=cast.project, user=cast.rita, item_ids=order(cast, kind="thumbs"))
    leased = Assignment.objects.get(occasion="review", state=State.LEASED)
    assert leased.item == thumbs


def test_a_lease_that_ran_out_frees_the_item(cast: Cast) -> None:
    contest(cast)
    assert claim(cast, cast.rita)
    Assignment.objects.filter(occasion="review").update(
        lease_expires_at=timezone.now() - timedelta(minutes=1)
    )
    assert expire_leases() == 1
    assert claim(cast, cast.rosa)
    assert Item.objects.get().open_slots == 2


@pytest.mark.django_db(transaction=True)
def test_a_race_for_one_item(cast: Cast) -> None:
    contest(cast)
    users = [cast.rita, cast.rosa, cast.mary, cast.ada]
    taken = in_threads(4, lambda number: claim(cast, users[number]))
    assert [isinstance(one, Exception) for one in taken] == [False] * 4
    assert sum(one is not None for one in taken) == 1
