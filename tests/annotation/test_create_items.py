from __future__ import annotations

import pytest

from annotation.models import Item, ItemResponse, Kind, Response
from annotation.services.item import (
    close_item,
    create_items,
    extend_overlap,
    reopen_item,
    set_priorities,
)
from core.errors import Conflict, PrefloopError
from core.models import AuditEvent
from tests.cast import Cast, make_item, make_project, make_prompt, make_response
from tests.races import in_threads


def answers(cast: Cast, *texts: str) -> list[Response]:
    prompt = make_prompt(cast.project)
    return [make_response(prompt, text, generator=f"model {i}") for i, text in enumerate(texts)]


def create(cast: Cast, kind: str, *groups, **fields):
    return create_items(project=cast.project, kind=kind, groups=list(groups), **fields)


def test_an_item_has_its_responses_in_canonical_order(cast: Cast) -> None:
    group = answers(cast, "yes", "no", "perhaps")
    made = create(cast, Kind.LISTWISE, group, priority=3, batch="round 1", external_ids=["x"])
    item = Item.objects.get()
    assert (made.items, made.created, made.existing) == ([item], 1, 0)
    assert (item.overlap, item.open_slots, item.is_open) == (2, 2, True)
    assert (item.priority, item.batch, item.external_id) == (3, "round 1", "x")
    placed = ItemResponse.objects.filter(item=item).order_by("position")
    assert [one.response for one in placed] == sorted(group, key=lambda one: one.uuid)


def test_the_same_group_in_any_order_is_the_same_item(cast: Cast) -> None:
    group = answers(cast, "yes", "no")
    first = create(cast, Kind.PAIRWISE, group)
    again = create(cast, Kind.PAIRWISE, group[::-1], group, overlap=5)
    assert again.items == [first.items[0]] * 2
    assert (again.created, again.existing) == (0, 2)


def test_kinds_have_items_of_their_own(cast: Cast) -> None:
    group = answers(cast, "yes", "no")
    create(cast, Kind.PAIRWISE, group)
    assert create(cast, Kind.LISTWISE, group).created == 1


def test_equal_texts_of_a_pair_are_a_stored_tie_that_nobody_is_asked(cast: Cast) -> None:
    made = create(cast, Kind.PAIRWISE, answers(cast, "same", "same"))
    item = Item.objects.get()
    assert made.identical == 1
    assert (item.origin, item.overlap, item.open_slots) == ("identical", 0, 0)
    assert not item.is_open
    with pytest.raises(Conflict):
        extend_overlap(item=item, by=1, actor=cast.mary)


def test_a_list_keeps_one_response_of_each_text(cast: Cast) -> None:
    made = create(
        cast, Kind.LISTWISE, answers(cast, "a", "b", "a", "c"), answers(cast, "same", "same")
    )
    assert (made.created, made.shortened) == (1, 1)
    assert made.items[1] is None
    texts = [one.messages[0]["content"] for one in made.items[0].responses.all()]
    assert sorted(texts) == ["a", "b", "c"]


def test_groups_that_make_no_item_are_refused(cast: Cast) -> None:
    group = answers(cast, "yes", "no")
    other = answers(cast, "other")
    for kind, bad in [
        (Kind.PAIRWISE, group[:1]),
        (Kind.PAIRWISE, [group[0], group[0]]),
        (Kind.PAIRWISE, [group[0], other[0]]),
        (Kind.THUMBS, group),
        (Kind.LISTWISE, group[:1]),
        ("sideways", group),
    ]:
        with pytest.raises(PrefloopError):
            create(cast, kind, bad)
    with pytest.raises(PrefloopError):
        create(cast, Kind.PAIRWISE, group, overlap=0)
    assert not Item.objects.exists()


def test_another_projects_responses_are_refused(cast: Cast) -> None:
    prompt = make_prompt(make_project())
    group = [make_response(prompt), make_response(prompt)]
    with pytest.raises(PrefloopError, match="own responses"):
        create(cast, Kind.PAIRWISE, group)


def test_it_asks_no_more_for_many_than_for_few(cast: Cast, django_assert_max_num_queries) -> None:
    groups = [answers(cast, "yes", "no") for _ in range(30)]
    fresh = [list(Response.objects.filter(pk__in=[one.pk for one in group])) for group in groups]
    with django_assert_max_num_queries(8):
        create(cast, Kind.PAIRWISE, *fresh)


def test_closing_and_reopening(cast: Cast) -> None:
    item = make_item(cast.project)
    close_item(item=item, actor=cast.rosa, reason="enough")
    close_item(item=item, actor=cast.rosa)
    assert not item.is_open
    reopen_item(item=item, actor=cast.rosa)
    assert item.is_open
    actions = list(AuditEvent.objects.order_by("pk").values_list("action", "detail"))
    assert actions == [("close_item", {"reason": "enough"}), ("reopen_item", {})]


def test_a_held_item_is_reopened_with_its_skips_forgiven(cast: Cast) -> None:
    item = make_item(cast.project, held_at="2026-01-01T00:00Z", skips=3)
    reopen_item(item=item, actor=cast.mary)
    assert (item.is_open, item.skips) == (True, 0)


def test_the_overlap_grows_with_the_open_slots(cast: Cast) -> None:
    item = make_item(cast.project)
    extend_overlap(item=item, by=2, actor=cast.rosa)
    assert (item.overlap, item.open_slots) == (4, 4)
    with pytest.raises(PrefloopError):
        extend_overlap(item=item, by=0, actor=cast.rosa)
    with pytest.raises(Conflict):
        extend_overlap(item=item, by=47, actor=cast.rosa)


def test_priorities_are_set_within_the_project_only(cast: Cast) -> None:
    mine, theirs = make_item(cast.project), make_item(make_project())
    assert set_priorities(project=cast.project, priorities={mine.pk: 5, theirs.pk: 5}) == 1
    assert set_priorities(project=cast.project, priorities={mine.pk: 5}) == 0
    mine.refresh_from_db()
    theirs.refresh_from_db()
    assert (mine.priority, theirs.priority) == (5, 0)


@pytest.mark.django_db(transaction=True)
def test_the_same_items_from_several_at_once_are_made_once() -> None:
    project = make_project()
    prompt = make_prompt(project)
    group = [make_response(prompt, text, generator=text) for text in ("yes", "no")]
    results = in_threads(
        4, lambda _: create_items(project=project, kind=Kind.PAIRWISE, groups=[group]).created
    )
    assert sorted(results) == [0, 0, 0, 1]
    assert Item.objects.count() == 1
