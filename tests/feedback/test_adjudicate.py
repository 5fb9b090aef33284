"""A reviewer settles what is contested; their word stands over later votes."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.answers import AnswerValue
from annotation.models import Item, Kind, Side
from core.errors import Conflict, PrefloopError
from core.models import AuditEvent, User
from feedback.models import Adjudication, Preference
from feedback.selectors.adjudication import order_for
from feedback.selectors.preferences import contested
from feedback.services.adjudicate import adjudicate
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


def page(client: Client, user: User, cast: Cast, query: str = "") -> Any:
    client.force_login(user)
    return client.get(reverse("feedback:adjudication", args=[cast.project.pk]) + query)


def form(kind: str) -> dict[str, Any]:
    ranks = {f"rank-overall-{shown}": shown + 1 for shown in range(3)}
    answer = {"strength-overall": 2, "thumb-overall": 1, **ranks}
    return {"client_key": "0123456789", "comment": "Because.", **answer}


@pytest.mark.parametrize("kind", Kind.values)
def test_the_page_blind_then_named_then_decided(cast: Cast, client: Client, kind: str) -> None:
    item = contest(cast, kind)
    blind = page(client, cast.rita, cast).content.decode()
    assert "See what others answered" in blind
    for secret in ("annotator", "model a", str(item.responses.all()[0].uuid)):
        assert secret not in blind
    preference = contested(cast.project).get()
    address = reverse("feedback:reveal", args=[cast.project.pk, preference.pk])
    named = client.post(address, form(kind)).content.decode()
    assert named.count("annotator ") == 2
    assert "What others answered" in named
    assert "Because." in named
    address = reverse("feedback:decide", args=[cast.project.pk, preference.pk])
    assert client.post(address, form(kind)).status_code == 302
    row = Preference.objects.newest().get()
    assert row.state == State.ADJUDICATED
    if kind == Kind.PAIRWISE:
        first = order_for(cast.rita, preference)[0]
        assert row.outcome["strength"] == (2.0 if first == 0 else -2.0)
    assert "Nothing is contested" in page(client, cast.rita, cast).content.decode()


def test_a_swap_brings_the_next(cast: Cast, client: Client) -> None:
    contest(cast)
    contest(cast)
    client.force_login(cast.rita)
    first = contested(cast.project).first()
    assert first is not None
    address = reverse("feedback:decide", args=[cast.project.pk, first.pk])
    reply = client.post(
        address, {**form("pairwise"), "why": "exclude"}, headers={"HX-Request": "true"}
    )
    assert b"1 contested" in reply.content
    assert b"<html" not in reply.content
    assert Preference.objects.get(adjudication__isnull=False).state == State.EXCLUDED


def test_most_disagreement_first_and_later_means_later(cast: Cast, client: Client) -> None:
    mild = judged(cast.project, Kind.PAIRWISE, 1, 1, -1, -1, 1)
    sharp = judged(cast.project, Kind.PAIRWISE, 1, -1)
    resolve_items(project=cast.project)
    queue = list(contested(cast.project))
    assert [row.item_id for row in queue] == [sharp.pk, mild.pk]
    later = page(client, cast.rita, cast, f"?after={queue[0].pk}").content.decode()
    assert f"/{queue[1].pk}/reveal/" in later
    again = page(client, cast.rita, cast, f"?after={queue[1].pk}").content.decode()
    assert f"/{queue[0].pk}/reveal/" in again


def test_stranger_and_weaker_role(cast: Cast, client: Client) -> None:
    contest(cast)
    preference = contested(cast.project).get()
    assert page(client, cast.mallory, cast).status_code == 404
    assert page(client, cast.bob, cast).status_code == 403
    for name in ("reveal", "decide"):
        address = reverse(f"feedback:{name}", args=[cast.project.pk, preference.pk])
        for user, status in ((cast.mallory, 404), (cast.bob, 403)):
            client.force_login(user)
            assert client.post(address, form("pairwise")).status_code == status
    assert not Adjudication.objects.exists()
