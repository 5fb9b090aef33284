"""Gold items as managers make them, and the settings by which people are measured."""

from __future__ import annotations

import pytest
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import Assignment, GoldAnswer, PauseRule
from annotation.services.gold import set_gold
from tests.annotation.test_work_views import answer, page, sign_in, url
from tests.cast import Cast, annotator_of, make_item


def test_an_item_is_made_gold_and_taken_back(cast: Cast) -> None:
    item = make_item(cast.project)
    client = sign_in(cast.mary)
    assert "Make item" in page(cast, "gold-item", item.pk)
    empty = client.post(url(cast, "gold-item", item.pk), {"answer-overall": ""})
    assert empty.status_code == 422
    assert "at least one criterion" in empty.content.decode()
    assert client.post(url(cast, "gold-item", item.pk), {"answer-overall": "-2"}).status_code == 302
    item.refresh_from_db()
    assert item.is_gold
    gold = GoldAnswer.objects.get(item=item)
    assert (gold.expected, gold.source) == ({"strength": -2}, "Mary")
    seen = page(cast, "gold")
    assert "1 gold item, and none is handed out: the share is 0" in seen
    assert "B better" in seen
    client.post(url(cast, "gold-unset", item.pk))
    item.refresh_from_db()
    assert not item.is_gold


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("thumbs", "0", {"thumb": 0}),
        ("listwise", "2 1 2", {"ranks": [2, 1, 2]}),
        ("listwise", "1,2,3", {"ranks": [1, 2, 3]}),
    ],
)
def test_every_kind_can_be_gold(cast: Cast, kind: str, given: str, expected: object) -> None:
    item = make_item(cast.project, kind=kind)
    reply = sign_in(cast.mary).post(url(cast, "gold-item", item.pk), {"answer-overall": given})
    assert reply.status_code == 302
    assert GoldAnswer.objects.get(item=item).expected == expected
    assert f'value="{given.replace(",", " ")}"' in page(cast, "gold-item", item.pk)


@pytest.mark.parametrize("given", ["1 2", "1 2 4", "a b c", "1 2 3 4"])
def test_ranks_that_make_no_sense_are_refused(cast: Cast, given: str) -> None:
    item = make_item(cast.project, kind="listwise")
    reply = sign_in(cast.mary).post(url(cast, "gold-item", item.pk), {"answer-overall": given})
    assert reply.status_code == 422
    assert not GoldAnswer.objects.exists()


def test_a_link_may_suggest_the_answer(cast: Cast) -> None:
    item = make_item(cast.project)
    path = url(cast, "gold-item", item.pk) + "?answer-overall=-2"
    seen = sign_in(cast.mary).get(path).content.decode()
    assert '<option value="-2" selected>' in seen


def test_gold_is_drawn_from_known_answers(cast: Cast) -> None:
    for _ in range(3):
        GoldAnswer.objects.create(
            item=make_item(cast.project),
            criterion="overall",
            expected={"strength": 2},
            source="set",
        )
    GoldAnswer.objects.create(
        item=make_item(cast.project), criterion="style", expected={"strength": 2}
    )
    client = sign_in(cast.mary)
    assert "3 items came with a known answer" in page(cast, "gold")
    client.post(url(cast, "gold-draw"), {"count": "2"})
    assert cast.project.items.filter(is_gold=True).count() == 2
    client.post(url(cast, "gold-draw"), {"count": "99"})
    assert cast.project.items.filter(is_gold=True).count() == 3
    assert client.post(url(cast, "gold-draw"), {"count": "1"}).status_code == 409
    for count in ("0", "-1", "x", "1000"):
        assert client.post(url(cast, "gold-draw"), {"count": count}).status_code == 400


def test_gold_that_most_people_miss_is_looked_at(cast: Cast) -> None:
    item = make_item(cast.project)
    set_gold(item=item, answers={"overall": AnswerValue(strength=2)}, actor=cast.mary)
    for user, strength in [(cast.bob, 1), (cast.lena, -1), (cast.rita, -2)]:
        met = Assignment.objects.create(
            item=item, annotator=annotator_of(user), occasion="gold", shown_order=[0, 1],
            takes_slot=False, lease_expires_at=timezone.now(),
        )  # fmt: skip
        answer(met, strength=strength)
    seen = page(cast, "gold")
    assert "1 of 3" in seen
    assert "look at it" in seen


def test_pause_rules_are_set_on_the_settings_page(cast: Cast) -> None:
    client = sign_in(cast.mary)
    assert "Pause rules" in page(cast, "settings")
    given = {
        "gold_accuracy_threshold": "60", "gold_accuracy_window": "20",
        "speed_threshold": "", "speed_window": "20",
        "straight_lining_threshold": "95", "straight_lining_window": "30",
    }  # fmt: skip
    assert client.post(url(cast, "pause-rules"), given).status_code == 302
    found = PauseRule.objects.filter(project=cast.project).order_by("signal")
    assert [(one.signal, one.threshold, one.window) for one in found] == [
        ("gold_accuracy", 0.6, 20),
        ("straight_lining", 0.95, 30),
    ]
    assert 'value="60"' in page(cast, "settings")
    wrong = client.post(url(cast, "pause-rules"), {**given, "gold_accuracy_threshold": "160"})
    assert wrong.status_code == 422
    assert "160" in wrong.content.decode()
    client.post(url(cast, "pause-rules"), {})
    assert not PauseRule.objects.exists()


def test_shares_are_previewed(cast: Cast) -> None:
    set_gold(item=make_item(cast.project), answers={"overall": AnswerValue(strength=2)}, actor=None)
    client = sign_in(cast.mary)
    reply = client.post(url(cast, "shares"), {"gold_share": "5", "probe_share": "2"})
    seen = " ".join(reply.content.decode().split())
    assert "Of 100 items that a labeler gets, about 5 are gold, 2 are own old ones" in seen
    assert "93 are new" in seen
    assert "1 gold item" in seen
    off = client.post(url(cast, "shares"), {"gold_share": "9" * 5000, "probe_share": "x"})
    assert "All of 100 items that a labeler gets are new" in off.content.decode()
