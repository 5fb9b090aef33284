"""A reviewer settles what is contested; their word stands over later votes."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from annotation.answers import AnswerValue
from annotation.models import Item, Kind, Side
from annotation.services.item import close_item
from core.errors import Conflict, PrefloopError
from core.models import AuditEvent
from feedback.models import Adjudication, Preference
from feedback.selectors.review_queue import waiting
from feedback.services.adjudicate import Grounds, adjudicate, decide_item, send_back, withdraw
from feedback.services.freeze_snapshot import freeze
from feedback.services.resolve_items import resolve_items
from feedback.snapshot_files import read_records
from tests.cast import Cast, make_item
from tests.feedback.votes import judged, vote

State = Preference.State
CONTESTED = {
    Kind.PAIRWISE: (
        [2, -2], AnswerValue(strength=-3), {"strength": -3.0, "both_bad": False}, [0.0],
    ),
    Kind.THUMBS: ([0, 1], AnswerValue(thumb=1), {"thumb": 1}, [1.0]),
    Kind.LISTWISE: (
        [[1, 2, 3], [3, 2, 1]], AnswerValue(ranks=(2, 1, 2)), {"ranks": [2, 1, 2]},
        [0.0, 0.5, 1.0],
    ),
}  # fmt: skip


def contest(cast: Cast, kind: str = Kind.PAIRWISE, **fields: Any) -> Item:
    item = judged(cast.project, kind, *CONTESTED[Kind(kind)][0], **fields)
    resolve_items(project=cast.project, item_ids=[item.pk])
    return item


@pytest.mark.parametrize("kind", Kind.values)
def test_it_works(cast: Cast, kind: str) -> None:
    item = contest(cast, kind)
    _, value, outcome, probabilities = CONTESTED[Kind(kind)]
    row = adjudicate(
        item=item, criterion="overall", adjudicator=cast.rita, value=value, note="B is wrong."
    )
    assert (row.state, row.outcome, row.probabilities) == (
        State.ADJUDICATED, outcome, probabilities,
    )  # fmt: skip
    assert (row.support_people, len(row.judgment_ids)) == (2, 2)
    adjudication = Adjudication.objects.get()
    assert (adjudication.adjudicator, adjudication.note) == (cast.rita, "B is wrong.")
    assert AuditEvent.objects.filter(action="adjudicate").count() == 1


def test_it_stands_over_later_votes_and_resolving(cast: Cast) -> None:
    item = contest(cast)
    adjudicate(item=item, criterion="overall", adjudicator=cast.rita, value=AnswerValue(strength=1))
    assert resolve_items(project=cast.project).changed == 0
    vote(item, "z", -3)
    resolve_items(project=cast.project)
    row = Preference.objects.newest().get()
    assert (row.state, row.outcome["strength"], row.support_people) == (State.ADJUDICATED, 1.0, 3)


def test_excluding(cast: Cast) -> None:
    item = contest(cast)
    for side in (Side.TRAIN, Side.HELD_OUT):
        judged(cast.project, Kind.PAIRWISE, 1, 1, side=side)
    adjudicate(item=item, criterion="overall", adjudicator=cast.rita, exclude=True)
    snapshot = freeze(project=cast.project, created_by=None).snapshot
    assert snapshot.manifest["left_out"] == {"excluded": 1}


def test_an_adjudicated_item_enters_the_snapshot(cast: Cast) -> None:
    item = contest(cast, side=Side.TRAIN)
    judged(cast.project, Kind.PAIRWISE, 1, 1, side=Side.HELD_OUT)
    adjudicate(
        item=item, criterion="overall", adjudicator=cast.rita, value=AnswerValue(strength=-1)
    )
    snapshot = freeze(project=cast.project, created_by=None).snapshot
    record = next(read_records(snapshot, "train"))
    assert (record["state"], record["outcome"]["strength"]) == ("adjudicated", -1.0)
    assert record["adjudication"] == Adjudication.objects.get().pk


def test_deciding_again_is_another_word(cast: Cast) -> None:
    item = contest(cast)
    for strength in (1, -1):
        adjudicate(
            item=item, criterion="overall", adjudicator=cast.rita,
            value=AnswerValue(strength=strength),
        )  # fmt: skip
    assert Adjudication.objects.count() == 2
    assert Preference.objects.newest().get().outcome["strength"] == -1.0


def test_somebody_was_quicker(cast: Cast) -> None:
    item = contest(cast)
    seen = Preference.objects.newest().get().pk
    first = {"item": item, "criterion": "overall", "value": AnswerValue(strength=1), "seen": seen}
    adjudicate(adjudicator=cast.rita, **first)
    with pytest.raises(Conflict, match="changed since you opened it"):
        adjudicate(adjudicator=cast.rosa, **first)
    assert Adjudication.objects.count() == 1


@pytest.mark.parametrize(
    "value", [None, AnswerValue(), AnswerValue(strength=4), AnswerValue(ranks=(1, 2))]
)
def test_nonsense_is_refused(cast: Cast, value: AnswerValue | None) -> None:
    item = contest(cast)
    with pytest.raises(PrefloopError):
        adjudicate(item=item, criterion="overall", adjudicator=cast.rita, value=value)
    assert not Adjudication.objects.exists()


def test_what_nobody_judged_cannot_be_decided(cast: Cast) -> None:
    with pytest.raises(PrefloopError, match="nobody has judged"):
        adjudicate(
            item=make_item(cast.project), criterion="overall", adjudicator=cast.rita,
            value=AnswerValue(strength=1),
        )  # fmt: skip


def test_the_line_of_a_list_is_kept(cast: Cast) -> None:
    item = contest(cast, Kind.LISTWISE)
    value = AnswerValue(ranks=(2, 1, 3), acceptable_to=2)
    row = adjudicate(item=item, criterion="overall", adjudicator=cast.rita, value=value)
    assert row.outcome == {"ranks": [2, 1, 3], "acceptable_to": 2}
    assert resolve_items(project=cast.project).changed == 0
    assert Preference.objects.newest().get().outcome == row.outcome


def test_all_criteria_or_none(cast: Cast) -> None:
    item = contest(cast)
    seen = {"overall": Preference.objects.newest().get().pk, "unheard of": 1}
    values = dict.fromkeys(seen, AnswerValue(strength=1))
    with pytest.raises(PrefloopError):
        decide_item(item=item, adjudicator=cast.rita, values=values, seen=seen, grounds=Grounds())
    assert not Adjudication.objects.exists()
    assert contest_of(item).state == State.CONTESTED


def contest_of(item: Item) -> Preference:
    return Preference.objects.newest().get(item=item)


def test_the_grounds_are_kept_and_cannot_be_changed(cast: Cast) -> None:
    item = contest(cast)
    grounds = Grounds(note="B is wrong.", seen_judgments=[1, 2], named=True)
    adjudicate(
        item=item, criterion="overall", adjudicator=cast.rita, value=AnswerValue(strength=1),
        grounds=grounds,
    )  # fmt: skip
    row = Adjudication.objects.get()
    assert (row.seen_judgments, row.named, row.blind) == ([1, 2], True, None)
    with pytest.raises(IntegrityError), transaction.atomic():
        Adjudication.objects.update(strength=-3)
    # A person can be forgotten, with what they wrote freely.
    Adjudication.objects.update(adjudicator=None, note="")


def test_taking_back(cast: Cast) -> None:
    item = contest(cast)
    before = contest_of(item)
    adjudicate(item=item, criterion="overall", adjudicator=cast.rita, value=AnswerValue(strength=1))
    withdraw(item=item, adjudicator=cast.rita)
    row = contest_of(item)
    assert (row.state, row.outcome, row.cause) == (State.CONTESTED, before.outcome, before.cause)
    assert [one.verdict for one in item.adjudications.all()] == ["withdrawn", "decided"]
    vote(item, "z", 2)
    resolve_items(project=cast.project)
    assert contest_of(item).state == State.ACCEPTED
    with pytest.raises(Conflict, match="no decision of yours"):
        withdraw(item=item, adjudicator=cast.rita)


def test_nobody_takes_back_what_another_decided(cast: Cast) -> None:
    item = contest(cast)
    adjudicate(item=item, criterion="overall", adjudicator=cast.rita, value=AnswerValue(strength=1))
    with pytest.raises(Conflict, match="no decision of yours"):
        withdraw(item=item, adjudicator=cast.rosa)
    assert contest_of(item).state == State.ADJUDICATED


def back(cast: Cast, item: Item, more: int = 1) -> Item:
    grounds = Grounds(note="unclear")
    [row] = send_back(
        item=item, adjudicator=cast.rita, seen={"overall": contest_of(item).pk}, more=more,
        grounds=grounds,
    )  # fmt: skip
    assert row.is_newest
    return item


def test_sending_back_asks_more_people(cast: Cast) -> None:
    item = contest(cast)
    close_item(item=item, actor=cast.mary)
    asked = back(cast, item, more=2)
    assert (asked.overlap, asked.open_slots, asked.is_open) == (4, 4, True)
    assert Adjudication.objects.get().verdict == "sent back"
    assert contest_of(item).state == State.CONTESTED
    assert not waiting(cast.project).exists()
    # Whatever they answer, it waits again once nobody is asked any more.
    close_item(item=item, actor=cast.mary)
    assert waiting(cast.project).get().item == item


def test_a_decided_item_can_be_sent_back(cast: Cast) -> None:
    item = contest(cast)
    adjudicate(item=item, criterion="overall", adjudicator=cast.rita, value=AnswerValue(strength=1))
    back(cast, item)
    assert contest_of(item).state == State.CONTESTED


def test_gold_and_full_items_cannot_be_sent_back(cast: Cast) -> None:
    item = contest(cast)
    with pytest.raises(Conflict, match="at most 50"):
        back(cast, item, more=49)
    Item.objects.filter(pk=item.pk).update(is_gold=True)
    item.refresh_from_db()
    with pytest.raises(Conflict, match="gold"):
        back(cast, item)
    assert not Adjudication.objects.exists()
