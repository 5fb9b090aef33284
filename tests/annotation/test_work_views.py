from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import (
    Assignment,
    Flag,
    Item,
    Kind,
    Membership,
    Project,
)
from annotation.services.claim_item import claim_item
from annotation.services.flag_item import flag_item
from annotation.services.membership import pause_member
from annotation.services.skip_item import skip_item
from annotation.services.submit_judgment import submit_judgment
from core.models import User
from tests.cast import Cast, annotator_of, make_item, make_project

PEOPLE = ("mallory", "bob", "rita", "rosa", "mary", "ada")
MANAGE = {"mallory": 404, "bob": 403, "rita": 403, "rosa": 403, "mary": 200, "ada": 200}
PARTS = ("work", "work-now", "work-pace", "work-ageing", "gold")


@pytest.fixture(autouse=True)
def forget_days() -> None:
    """Projects of other tests had the same numbers."""
    cache.clear()


def sign_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def url(cast: Cast, name: str, *args: int) -> str:
    return reverse(f"annotation:{name}", args=[cast.project.pk, *args])


def page(cast: Cast, name: str = "work", *args: int, user: User | None = None) -> str:
    reply = sign_in(user or cast.mary).get(url(cast, name, *args))
    assert reply.status_code == 200
    return " ".join(reply.content.decode().split())


def claimed(cast: Cast, user: User) -> Assignment:
    assignment = claim_item(project=cast.project, user=user)
    assert assignment is not None
    return assignment


def answer(assignment: Assignment, **value: int) -> None:
    submit_judgment(
        assignment=assignment,
        client_key=f"key-{assignment.pk}",
        answers={"overall": AnswerValue(**value or {"strength": 1})},
        active_ms=4000,
    )


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("name", PARTS)
def test_the_queue_is_for_managers(cast: Cast, name: str, who: str) -> None:
    make_item(cast.project)
    assert sign_in(getattr(cast, who)).get(url(cast, name)).status_code == MANAGE[who]


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize(
    "name",
    ["work-release", "work-decide", "work-settle", "work-restore", "gold-unset", "gold-draw"],
)
def test_its_actions_are_for_managers(cast: Cast, name: str, who: str) -> None:
    item = make_item(cast.project)
    held = claimed(cast, cast.bob)
    flagged = flag_item(assignment=held, kind="identity", note="It says so.")
    numbers = {
        "work-release": [held.pk], "work-decide": [item.pk], "work-settle": [flagged.pk],
        "work-restore": [cast.bob.pk], "gold-unset": [item.pk], "gold-draw": [],
    }  # fmt: skip
    client = sign_in(getattr(cast, who))
    reply = client.post(url(cast, name, *numbers[name]), {"decision": "keep", "count": "1"})
    expected = MANAGE[who]
    assert reply.status_code == expected if expected != 200 else reply.status_code in (302, 409)
    assert client.get(url(cast, name, *numbers[name])).status_code in (403, 404, 405)


def test_another_projects_rows_are_not_found(cast: Cast) -> None:
    other = make_project()
    item = make_item(other)
    Membership.objects.create(project=other, user=cast.bob, role="labeler")
    held = claim_item(project=other, user=cast.bob)
    assert held is not None
    flagged = flag_item(assignment=held, kind="identity")
    client = sign_in(cast.ada)
    for name, number in [
        ("work-release", held.pk), ("work-decide", item.pk), ("work-settle", flagged.pk),
        ("work-restore", cast.mallory.pk), ("gold-unset", item.pk), ("gold-item", item.pk),
    ]:  # fmt: skip
        sent = client.post(url(cast, name, number), {"decision": "close"})
        assert sent.status_code == 404, name
    assert Flag.objects.get().settled_at is None


def test_an_empty_project_says_what_to_do_next(cast: Cast) -> None:
    assert "No items in the queue yet" in page(cast)
    assert "too little" not in page(cast)


def test_when_nothing_waits_it_says_so(cast: Cast) -> None:
    make_item(cast.project)
    assert "Nothing waits for your decision" in page(cast)
    assert "nobody has an item open" in page(cast, "work-now")


def test_who_is_at_work_and_what_they_hold(cast: Cast) -> None:
    Project.objects.update(daily_target=40)
    for _ in range(3):
        make_item(cast.project)
    answer(claimed(cast, cast.bob))
    held = claimed(cast, cast.bob)
    seen = page(cast, "work-now")
    assert "1 person is at work" in seen
    assert f"Release item {held.item_id}, held by Bob" in seen
    assert "of 40" in seen


def test_a_lease_is_released_from_the_page(cast: Cast) -> None:
    make_item(cast.project)
    held = claimed(cast, cast.bob)
    client = sign_in(cast.mary)
    reply = client.post(url(cast, "work-release", held.pk), follow=True)
    assert "is free again" in reply.content.decode()
    held.refresh_from_db()
    assert held.state == Assignment.State.EXPIRED
    answer(held)
    again = client.post(url(cast, "work-release", held.pk))
    assert again.status_code == 409
    assert "answered or skipped a moment ago" in again.content.decode()


def test_held_and_flagged_items_come_with_their_notes(cast: Cast) -> None:
    Project.objects.update(skip_limit=2)
    held, leaking = make_item(cast.project), make_item(cast.project, overlap=1)
    for user, why in [(cast.bob, "No idea what it asks"), (cast.lena, "Empty response")]:
        skip_item(assignment=lease(held, user), reason=why)
    flag_item(assignment=lease(leaking, cast.bob), kind="identity", note="As GPT-4, I …")
    seen = page(cast)
    for words in (
        "2 items to decide on", "No idea what it asks", "Empty response", "Bob", "Lena",
        "identity leak", "As GPT-4, I …", "Back into the queue", "Keep in the queue",
    ):  # fmt: skip
        assert words in seen, words


def lease(item: Item, user: User) -> Assignment:
    return Assignment.objects.create(
        item=item, annotator=annotator_of(user), shown_order=[0, 1], takes_slot=True,
        lease_expires_at=timezone.now() + timedelta(minutes=15), opened_at=timezone.now(),
    )  # fmt: skip


@pytest.mark.parametrize(("decision", "is_open"), [("reopen", True), ("close", False)])
def test_a_held_item_is_decided_on(cast: Cast, decision: str, is_open: bool) -> None:
    item = make_item(cast.project, held_at=timezone.now(), skips=3)
    client = sign_in(cast.mary)
    reply = client.post(url(cast, "work-decide", item.pk), {"decision": decision}, follow=True)
    assert f"Item {item.pk} is" in reply.content.decode()
    item.refresh_from_db()
    assert item.is_open is is_open
    assert "to decide on" not in page(cast)


def test_a_flag_is_settled_alone(cast: Cast) -> None:
    item = make_item(cast.project)
    flags = [
        flag_item(assignment=lease(item, user), kind="identity") for user in (cast.bob, cast.lena)
    ]
    sign_in(cast.mary).post(url(cast, "work-settle", flags[0].pk))
    assert [one.pk for one in Flag.objects.filter(settled_at=None)] == [flags[1].pk]
    assert "1 item to decide on" in page(cast)


def test_an_unknown_decision_is_no_page(cast: Cast) -> None:
    item = make_item(cast.project, held_at=timezone.now())
    reply = sign_in(cast.mary).post(url(cast, "work-decide", item.pk), {"decision": "burn"})
    assert reply.status_code == 404


def test_paused_people_come_first_with_evidence_and_are_restored(cast: Cast) -> None:
    for _ in range(3):
        make_item(cast.project)
    for _ in range(2):
        answer(claimed(cast, cast.bob))
    member = Membership.objects.get(project=cast.project, user=cast.bob)
    pause_member(membership=member, actor=None, reason="Agreed with 6 of 20 gold items; …")
    seen = page(cast)
    for words in ("1 paused", "Agreed with 6 of 20", "by a pause rule", "Took 4.0 s or less"):
        assert words in seen, words
    sign_in(cast.mary).post(url(cast, "work-restore", cast.bob.pk))
    member.refresh_from_db()
    assert (member.state, member.restored_at is not None) == ("active", True)
    pause_member(membership=member, actor=cast.mary, reason="A talk first")
    assert "by Mary" in page(cast)


def test_pace_is_told_in_words_with_its_interval(cast: Cast) -> None:
    make_item(cast.project, overlap=3)
    answer(claimed(cast, cast.bob))
    assert "2 judgments left; too little was judged" in page(cast, "work-pace")
    noon = timezone.now().replace(hour=12)
    for ago in range(1, 8):
        for number in range(4 + ago % 3):
            done(cast, noon - timedelta(days=ago, minutes=number))
    cache.clear()
    seen = page(cast, "work-pace")
    assert "2 judgments left: less than one day at the pace of the last 7 days." in seen
    assert "<svg" in seen


def done(cast: Cast, at, kind: str = Kind.PAIRWISE) -> None:
    item = make_item(cast.project, kind=kind, overlap=1)
    assignment = lease(item, cast.lena)
    answer(assignment, **({"strength": 1} if kind == Kind.PAIRWISE else {"thumb": 1}))
    Assignment.objects.filter(pk=assignment.pk).update(finished_at=at)


def test_days_that_are_over_are_counted_once(cast: Cast, django_assert_num_queries) -> None:
    done(cast, timezone.now() - timedelta(days=1))
    client = sign_in(cast.mary)
    client.get(url(cast, "work-pace"))
    with django_assert_num_queries(8):
        client.get(url(cast, "work-pace"))


def test_two_kinds_have_a_line_each(cast: Cast) -> None:
    for ago in (1, 2):
        done(cast, timezone.now() - timedelta(days=ago))
        done(cast, timezone.now() - timedelta(days=ago), Kind.THUMBS)
    seen = page(cast, "work-pace")
    assert ">pairwise<" in seen
    assert ">thumbs<" in seen


def test_items_that_everybody_has_seen_need_more_people(cast: Cast) -> None:
    stuck = make_item(cast.project, overlap=3)
    fine = make_item(cast.project, overlap=3)
    for user in (cast.bob, cast.lena):
        answer(lease(stuck, user))
    answer(lease(fine, cast.bob))
    seen = page(cast, "work-ageing")
    assert "1 needs more people" in seen
    assert f"Item {stuck.pk}<" in seen
    assert f"Item {fine.pk}<" not in seen
    Membership.objects.filter(user=cast.mallory).delete()
    Membership.objects.create(project=cast.project, user=cast.mallory, role="labeler")
    assert "needs more people" not in page(cast, "work-ageing")


def test_too_few_people_for_the_overlap_is_said(cast: Cast) -> None:
    Project.objects.update(overlap=5)
    assert "New items ask for 5 people each, and 2 judge here" in page(cast, "work-ageing")
    Membership.objects.exclude(role="manager").delete()
    assert "Nobody judges here" in page(cast, "work-ageing")


def test_old_and_urgent_items_are_listed(cast: Cast) -> None:
    old, urgent = make_item(cast.project), make_item(cast.project, priority=7)
    begun = lease(old, cast.bob)
    Assignment.objects.filter(pk=begun.pk).update(
        created_at=timezone.now() - timedelta(days=3), state="expired", lease_expires_at=None
    )
    seen = page(cast, "work-ageing")
    assert f'Item {old.pk}</a> <span class="muted">begun 3' in seen
    assert f'Item {urgent.pk}</a> <span class="muted">priority 7' in seen


def test_home_names_what_waits_for_a_manager(cast: Cast) -> None:
    path = reverse("annotation:home-waiting")
    assert sign_in(cast.mary).get(path).content.decode().strip() == ""
    make_item(cast.project, held_at=timezone.now())
    assert str(cast.project) in sign_in(cast.mary).get(path).content.decode()
    for who in (cast.bob, cast.rosa, cast.mallory):
        assert sign_in(who).get(path).content.decode().strip() == ""


def test_the_page_asks_no_more_for_many_than_for_few(
    cast: Cast, django_assert_max_num_queries
) -> None:
    Project.objects.update(skip_limit=1)
    for _ in range(8):
        skip_item(assignment=lease(make_item(cast.project), cast.bob), reason="No")
        flag_item(assignment=lease(make_item(cast.project), cast.lena), kind="identity")
    client = sign_in(cast.mary)
    for name, most in [("work", 16), ("work-now", 12), ("work-ageing", 10), ("gold", 12)]:
        with django_assert_max_num_queries(most):
            client.get(url(cast, name))


def test_a_line_by_the_hour_waits_until_there_is_one_to_draw(cast: Cast) -> None:
    done(cast, timezone.now() - timedelta(minutes=1))
    seen = page(cast, "work-pace")
    assert "Judgments an hour" not in seen
    done(cast, timezone.now() - timedelta(hours=3))
    seen = page(cast, "work-pace")
    assert "Judgments an hour" in seen
    assert "2 in the last 24 hours" in seen
