"""Hidden gold: made of any item, met once by everybody, and never counted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import Assignment, GoldAnswer, Item, ItemResponse, Project
from annotation.selectors.invariants import violations
from annotation.selectors.project import progress_of
from annotation.services.claim_item import claim_item
from annotation.services.draw_gold import draw_gold
from annotation.services.expire_leases import expire_leases
from annotation.services.gold import set_gold, unset_gold
from annotation.services.item import close_item, extend_overlap
from annotation.services.revise_judgment import revise_judgment
from annotation.services.skip_item import skip_item
from annotation.services.submit_judgment import submit_judgment
from core.errors import Conflict, PrefloopError
from core.models import AuditEvent, User
from feedback.models import StaleItem
from feedback.selectors.votes import count_judgments, load_votes
from tests.cast import Cast, make_item
from tests.races import in_threads

State = Assignment.State
FIRST_BETTER = {"overall": AnswerValue(strength=2)}


def gold_item(cast: Cast, **fields: Any) -> Item:
    return set_gold(item=make_item(cast.project, **fields), answers=FIRST_BETTER, actor=cast.mary)


def only_gold(project: Project) -> None:
    """Every draw is for gold, so that a test need not wait for one."""
    project.gold_share = 100


def claim(cast: Cast, user: User) -> Assignment:
    assignment = claim_item(project=cast.project, user=user)
    assert assignment is not None
    return assignment


def answer(assignment: Assignment, key: str = "") -> Assignment:
    key = key or f"answer {assignment.pk}"
    submit_judgment(assignment=assignment, client_key=key, answers=FIRST_BETTER)
    return assignment


def test_it_stores_what_is_expected_and_leaves_the_queue(cast: Cast) -> None:
    item = gold_item(cast)
    assert (item.is_gold, item.is_open) == (True, False)
    assert GoldAnswer.objects.get(item=item).expected == {"strength": 2}
    assert AuditEvent.objects.get(action="set_gold").actor == cast.mary
    assert claim_item(project=cast.project, user=cast.bob) is None


def test_other_answers_replace_those_before(cast: Cast) -> None:
    item = gold_item(cast)
    set_gold(item=item, answers={"overall": AnswerValue(both_bad=True)}, actor=cast.mary)
    assert GoldAnswer.objects.get(item=item).expected == {"strength": 0, "both_bad": True}


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"unknown": AnswerValue(strength=1)},
        {"overall": AnswerValue(strength=9)},
        {"overall": AnswerValue(thumb=1)},
    ],
)
def test_wrong_answers_are_refused(cast: Cast, answers: dict[str, AnswerValue]) -> None:
    item = make_item(cast.project)
    with pytest.raises(PrefloopError):
        set_gold(item=item, answers=answers, actor=cast.mary)
    item.refresh_from_db()
    assert not item.is_gold


def test_equal_texts_cannot_be_gold(cast: Cast) -> None:
    item = make_item(cast.project, origin=Item.Origin.IDENTICAL)
    with pytest.raises(Conflict):
        set_gold(item=item, answers=FIRST_BETTER, actor=cast.mary)


@pytest.mark.parametrize("field", ["closed_at", "held_at"])
def test_closed_and_held_items_serve_as_gold(cast: Cast, field: str) -> None:
    make_item(cast.project)
    item = gold_item(cast, **{field: timezone.now()})
    only_gold(cast.project)
    assert claim(cast, cast.bob).item_id == item.pk


def test_everybody_meets_the_same_gold_in_the_same_order_once(cast: Cast) -> None:
    for _ in range(5):
        make_item(cast.project, overlap=3)
    wanted = [gold_item(cast, rnd=number).pk for number in (7, 8, 9)]
    only_gold(cast.project)
    for user in (cast.bob, cast.lena):
        met = [answer(claim(cast, user)) for _ in range(5)]
        assert [one.item_id for one in met if one.occasion == "gold"] == wanted
        assert [one.occasion for one in met[3:]] == ["main", "main"]
    assert {item.open_slots for item in Item.objects.filter(is_gold=True)} == {2}


def test_without_main_work_no_gold_is_handed_out(cast: Cast) -> None:
    gold_item(cast)
    only_gold(cast.project)
    assert claim_item(project=cast.project, user=cast.bob) is None


def test_the_share_of_gold_is_that_of_the_project(cast: Cast) -> None:
    cast.project.gold_share = 50
    for _ in range(60):
        make_item(cast.project, overlap=1)
        gold_item(cast)
    met = [answer(claim(cast, cast.bob)).occasion for _ in range(60)]
    # 30 are expected; outside of these bounds once in a hundred million runs.
    assert 8 < met.count("gold") < 52


def test_gold_takes_no_slot_and_frees_none(cast: Cast) -> None:
    make_item(cast.project)
    item = gold_item(cast, overlap=1)
    only_gold(cast.project)
    first, second = claim(cast, cast.bob), claim(cast, cast.lena)
    assert {first.item_id, second.item_id} == {item.pk}
    Assignment.objects.filter(pk=first.pk).update(lease_expires_at=timezone.now())
    expire_leases()
    answer(first)
    skip_item(assignment=second)
    item.refresh_from_db()
    assert (item.open_slots, item.started) == (1, False)
    assert (first.state, second.state) == (State.DONE, State.SKIPPED)


def test_expired_gold_is_met_again_in_the_same_order_and_skipped_gold_is_not(cast: Cast) -> None:
    make_item(cast.project)
    item = gold_item(cast)
    only_gold(cast.project)
    before = claim(cast, cast.bob)
    Assignment.objects.filter(pk=before.pk).update(
        lease_expires_at=timezone.now() - timedelta(seconds=1)
    )
    expire_leases()
    after = claim(cast, cast.bob)
    assert (after.pk, after.shown_order) == (before.pk, before.shown_order)
    skip_item(assignment=after)
    assert claim(cast, cast.bob).item_id != item.pk


def test_gold_that_is_skipped_too_often_is_held(cast: Cast) -> None:
    cast.project.skip_limit = 1
    cast.project.save()
    make_item(cast.project)
    item = gold_item(cast)
    only_gold(cast.project)
    skip_item(assignment=claim(cast, cast.bob))
    item.refresh_from_db()
    assert item.held_at is not None
    assert claim(cast, cast.lena).item_id != item.pk


def test_a_lease_of_before_may_finish_and_counts(cast: Cast) -> None:
    item = make_item(cast.project, overlap=2)
    open_before = claim(cast, cast.bob)
    set_gold(item=item, answers=FIRST_BETTER, actor=cast.mary)
    assert claim(cast, cast.bob) == open_before
    answer(open_before)
    assert (open_before.state, open_before.occasion) == (State.DONE, "main")
    assert count_judgments(cast.project) == 1
    make_item(cast.project)
    only_gold(cast.project)
    assert claim(cast, cast.bob).item_id != item.pk
    assert claim(cast, cast.lena).item_id == item.pk


def test_gold_answers_enter_nothing_that_counts(cast: Cast) -> None:
    make_item(cast.project)
    gold_item(cast)
    only_gold(cast.project)
    assignment = answer(claim(cast, cast.bob))
    revise_judgment(assignment=assignment, client_key="again", answers=FIRST_BETTER)
    assert assignment.occasion == "gold"
    assert count_judgments(cast.project) == 0
    assert len(load_votes(cast.project, "pairwise", "overall")) == 0
    assert not StaleItem.objects.exists()
    progress = progress_of([cast.project])[cast.project.pk]
    assert (progress.slots, progress.filled, progress.percent) == (2, 0, 0)


def test_unset_puts_it_back_with_its_slots_and_keeps_what_is_known(cast: Cast) -> None:
    item = make_item(cast.project, overlap=2)
    answer(claim(cast, cast.bob))
    item = set_gold(item=item, answers=FIRST_BETTER, actor=cast.mary)
    item = unset_gold(item=item, actor=cast.mary)
    unset_gold(item=item, actor=cast.mary)
    assert (item.is_gold, item.is_open, item.open_slots) == (False, True, 1)
    assert GoldAnswer.objects.filter(item=item).exists()
    assert AuditEvent.objects.filter(action="unset_gold").count() == 1
    assert claim(cast, cast.lena).item_id == item.pk


def test_the_order_shown_of_gold_is_random(cast: Cast) -> None:
    for _ in range(40):
        make_item(cast.project, overlap=1)
        item = gold_item(cast)
        assert ItemResponse.objects.filter(item=item).count() == 2
    only_gold(cast.project)
    orders = [tuple(answer(claim(cast, cast.bob)).shown_order) for _ in range(40)]
    assert min(orders.count((0, 1)), orders.count((1, 0))) >= 5


@pytest.mark.django_db(transaction=True)
def test_race_of_making_gold_and_claiming(cast: Cast) -> None:
    item = make_item(cast.project, overlap=8)

    def act(number: int) -> object:
        if number == 0:
            return set_gold(item=item, answers=FIRST_BETTER, actor=cast.mary)
        users = (cast.bob, cast.lena, cast.rita)
        return claim_item(project=cast.project, user=users[number - 1])

    results = in_threads(4, act)
    assert not [result for result in results if isinstance(result, Exception)]
    item.refresh_from_db()
    live = Assignment.objects.filter(state=State.LEASED, takes_slot=True).count()
    assert item.is_gold
    assert item.open_slots == item.overlap - live


@pytest.mark.django_db(transaction=True)
def test_drawing_locks_in_the_order_in_which_all_others_do(cast: Cast) -> None:
    """Else two who lock several items could wait for each other for ever."""
    low, high = (gold_item(cast) for _ in range(2))
    for item, rnd in ((low, 900), (high, 100)):
        unset_gold(item=item, actor=None)
        Item.objects.filter(pk=item.pk).update(rnd=rnd)

    def draw(number: int) -> list[Item]:
        return draw_gold(project=cast.project, count=2, actor=cast.mary)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Item.objects.select_for_update(no_key=True).get(pk=low.pk)
            drawing = pool.submit(in_threads, 1, draw)
            while not somebody_waits():
                assert not drawing.done()
            assert Item.objects.select_for_update(no_key=True, nowait=True).get(pk=high.pk)
        [drawn] = drawing.result()
    assert [item.pk for item in drawn] == [high.pk, low.pk]


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        # Within a transaction it would be read once only.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )
        return bool(cursor.fetchone()[0])


def test_who_answered_gold_has_judged_it_when_it_is_gold_no_longer(cast: Cast) -> None:
    item, other = gold_item(cast, overlap=2), make_item(cast.project, overlap=4)
    only_gold(cast.project)
    met = [answer(claim(cast, user)) for user in (cast.bob, cast.lena, cast.rita)]
    assert {(one.item_id, one.occasion) for one in met} == {(item.pk, "gold")}
    item = unset_gold(item=item, actor=cast.mary)
    assert (item.is_open, item.open_slots) == (False, 0)
    rows = Assignment.objects.filter(item=item).order_by("finished_at")
    assert [(row.occasion, row.state) for row in rows] == [
        ("main", State.DONE), ("main", State.DONE), ("main", State.SURPLUS),
    ]  # fmt: skip
    assert violations(cast.project) == []
    assert StaleItem.objects.filter(item_id=item.pk).exists()
    extend_overlap(item=item, by=2, actor=cast.mary)
    asked = {claim(cast, user).item_id for user in (cast.bob, cast.lena, cast.rita)}
    assert asked == {other.pk}


def test_what_is_skipped_or_on_screen_as_gold_comes_back_to_nobody(cast: Cast) -> None:
    item, other = gold_item(cast, overlap=4), make_item(cast.project, overlap=4)
    only_gold(cast.project)
    skip_item(assignment=claim(cast, cast.bob))
    open_still = claim(cast, cast.lena)
    assert open_still.item_id == item.pk
    item = unset_gold(item=item, actor=cast.mary)
    late = answer(Assignment.objects.get(pk=open_still.pk))
    assert (late.occasion, late.state, late.takes_slot) == ("main", State.DONE, True)
    close_item(item=other, actor=cast.mary)
    for user in (cast.bob, cast.lena):
        assert claim_item(project=cast.project, user=user) is None
    assert violations(cast.project) == []


def test_an_answer_from_before_it_was_gold_stays_the_one_that_counts(cast: Cast) -> None:
    item, other = make_item(cast.project, overlap=2), make_item(cast.project)
    Item.objects.filter(pk=other.pk).update(priority=-1)
    before = claim(cast, cast.bob)
    assert before.item_id == item.pk
    gold = set_gold(item=item, answers=FIRST_BETTER, actor=cast.mary)
    Assignment.objects.filter(pk=before.pk).update(lease_expires_at=timezone.now())
    expire_leases()
    only_gold(cast.project)
    met = answer(claim(cast, cast.bob))
    assert (met.item_id, met.occasion) == (item.pk, "gold")
    unset_gold(item=gold, actor=cast.mary)
    assert claim(cast, cast.bob).item_id == other.pk
    assert violations(cast.project) == []
