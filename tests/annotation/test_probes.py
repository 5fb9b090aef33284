"""Consistency probes: one's own old item again, with the sides swapped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import Assignment, Item
from annotation.services.claim_item import claim_item
from annotation.services.expire_leases import expire_leases
from annotation.services.gold import set_gold
from annotation.services.revise_judgment import revise_judgment
from annotation.services.skip_item import skip_item
from annotation.services.submit_judgment import submit_judgment
from core.models import User
from feedback.models import StaleItem
from feedback.selectors.votes import count_judgments, load_votes
from tests.cast import Cast, annotator_of, make_item, make_project

State = Assignment.State
FIRST_BETTER = {"overall": AnswerValue(strength=2)}


def claim(cast: Cast, user: User) -> Assignment:
    assignment = claim_item(project=cast.project, user=user)
    assert assignment is not None
    return assignment


def answer(assignment: Assignment, key: str = "") -> Assignment:
    key = key or f"answer {assignment.pk}"
    submit_judgment(assignment=assignment, client_key=key, answers=FIRST_BETTER)
    return assignment


def judged(cast: Cast, user: User, **item: Any) -> Assignment:
    """An item that the user has answered an hour and more ago."""
    made = make_item(cast.project, priority=1, **item)
    assignment = answer(claim(cast, user))
    assert assignment.item_id == made.pk
    Assignment.objects.filter(pk=assignment.pk).update(
        finished_at=timezone.now() - timedelta(hours=2)
    )
    return assignment


@pytest.fixture
def main(cast: Cast) -> Assignment:
    """One old answer of Bob's, work that is left, and a project that draws only probes."""
    main = judged(cast, cast.bob, overlap=1)
    for _ in range(3):
        make_item(cast.project, overlap=1)
    StaleItem.objects.all().delete()
    cast.project.probe_share = 100
    return main


def test_it_is_an_own_old_item_with_the_sides_swapped(cast: Cast, main: Assignment) -> None:
    probe = claim(cast, cast.bob)
    assert (probe.item_id, probe.occasion, probe.takes_slot) == (main.item_id, "probe 1", False)
    assert probe.shown_order == main.shown_order[::-1]
    assert claim(cast, cast.bob) == probe


def test_others_are_not_asked(cast: Cast, main: Assignment) -> None:
    assert claim(cast, cast.lena).occasion == "main"


def test_once_is_enough(cast: Cast, main: Assignment) -> None:
    submit_judgment(assignment=claim(cast, cast.bob), client_key="probe", answers=FIRST_BETTER)
    assert claim(cast, cast.bob).occasion == "main"


def test_it_counts_nowhere(cast: Cast, main: Assignment) -> None:
    before = count_judgments(cast.project)
    probe = claim(cast, cast.bob)
    submit_judgment(assignment=probe, client_key="probe", answers=FIRST_BETTER)
    revise_judgment(assignment=probe, client_key="again", answers=FIRST_BETTER)
    assert count_judgments(cast.project) == before
    assert len(load_votes(cast.project, "pairwise", "overall")) == before
    assert not StaleItem.objects.exists()
    assert Item.objects.get(pk=main.item_id).open_slots == 0


def test_a_skipped_probe_is_not_asked_again_and_does_not_hold_the_item(
    cast: Cast, main: Assignment
) -> None:
    skip_item(assignment=claim(cast, cast.bob))
    assert claim(cast, cast.bob).occasion == "main"
    assert Item.objects.get(pk=main.item_id).skips == 0


def test_an_expired_probe_may_be_answered_late_and_met_again(cast: Cast, main: Assignment) -> None:
    probe = claim(cast, cast.bob)
    Assignment.objects.filter(pk=probe.pk).update(lease_expires_at=timezone.now())
    expire_leases()
    assert claim(cast, cast.bob).pk == probe.pk
    Assignment.objects.filter(pk=probe.pk).update(lease_expires_at=timezone.now())
    expire_leases()
    submit_judgment(assignment=probe, client_key="late", answers=FIRST_BETTER)
    probe.refresh_from_db()
    assert probe.state == State.DONE


def test_a_fresh_answer_is_not_asked_again(cast: Cast, main: Assignment) -> None:
    Assignment.objects.update(finished_at=timezone.now() - timedelta(minutes=50))
    assert claim(cast, cast.bob).occasion == "main"


def test_twenty_answers_later_it_is(cast: Cast, main: Assignment) -> None:
    cast.project.probe_share = 0
    for number in range(20):
        make_item(cast.project, priority=1)
        newer = answer(claim(cast, cast.bob))
        Assignment.objects.filter(pk=newer.pk).update(
            finished_at=timezone.now() - timedelta(minutes=20 - number)
        )
    Assignment.objects.filter(pk=main.pk).update(finished_at=timezone.now() - timedelta(minutes=21))
    cast.project.probe_share = 100
    assert claim(cast, cast.bob).item_id == main.item_id


def test_other_projects_gold_and_held_items_are_left_out(cast: Cast, main: Assignment) -> None:
    other = make_project(name="Another")
    make_item(other)
    other.probe_share = 100
    found = claim_item(project=other, user=cast.bob)
    assert found is not None
    assert found.occasion == "main"
    Item.objects.filter(pk=main.item_id).update(held_at=timezone.now())
    assert claim(cast, cast.bob).occasion == "main"


def test_what_became_gold_is_no_probe(cast: Cast, main: Assignment) -> None:
    set_gold(item=main.item, answers=FIRST_BETTER, actor=cast.mary)
    assert claim(cast, cast.bob).occasion == "main"


def test_without_main_work_no_probe_is_handed_out(cast: Cast, main: Assignment) -> None:
    Item.objects.exclude(pk=main.item_id).update(closed_at=timezone.now())
    assert claim_item(project=cast.project, user=cast.bob) is None


def test_only_own_answers_in_time_are_probed(cast: Cast, main: Assignment) -> None:
    Assignment.objects.filter(pk=main.pk).update(state=State.SURPLUS)
    assert claim(cast, cast.bob).occasion == "main"
    assert annotator_of(cast.bob).assignments.filter(occasion="probe 1").count() == 0
