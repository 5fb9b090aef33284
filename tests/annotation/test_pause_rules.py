from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import (
    Assignment,
    GoldAnswer,
    Item,
    Judgment,
    Kind,
    Membership,
    PauseRule,
)
from annotation.pause_signals import breaks, in_words, reason, speed, straight_lining
from annotation.selectors.signals import measure
from annotation.services.membership import restore_member
from annotation.services.pause_rules import RuleValues, apply_pause_rules, set_pause_rules
from annotation.services.submit_judgment import submit_judgment
from annotation.tasks import keep_pause_rules
from core.errors import PrefloopError
from core.models import AuditEvent, User
from tests.cast import Cast, annotator_of, make_item

Signal = PauseRule.Signal
LEFT_IS_BETTER = AnswerValue(strength=2)


def lease(item: Item, user: User, *, occasion: str = "main", shown=(0, 1)) -> Assignment:
    return Assignment.objects.create(
        item=item,
        annotator=annotator_of(user),
        occasion=occasion,
        shown_order=list(shown),
        takes_slot=occasion == "main",
        lease_expires_at=timezone.now() + timedelta(minutes=15),
    )


def answer(
    cast: Cast, user: User, value: AnswerValue, *, gold: int | None = None,
    seconds: float | None = 9, shown=(0, 1), kind: str = Kind.PAIRWISE,
) -> Assignment:  # fmt: skip
    """`value` as shown; `gold` is the strength that gold gives, in canonical order."""
    item = make_item(cast.project, kind=kind, is_gold=gold is not None)
    if gold is not None:
        GoldAnswer.objects.create(item=item, criterion="overall", expected={"strength": gold})
    assignment = lease(item, user, occasion="main" if gold is None else "gold", shown=shown)
    submit_judgment(
        assignment=assignment,
        client_key=f"key-{assignment.pk}",
        answers={"overall": value},
        active_ms=None if seconds is None else int(1000 * seconds),
    )
    return assignment


def rule(cast: Cast, signal: str, threshold: float, window: int = 5) -> PauseRule:
    return PauseRule.objects.create(
        project=cast.project, signal=signal, threshold=threshold, window=window
    )


def member(cast: Cast, user: User) -> Membership:
    return Membership.objects.get(project=cast.project, user=user)


def paused(cast: Cast) -> list[str]:
    return [one.user.username for one in apply_pause_rules(project=cast.project)]


def test_who_misses_gold_is_paused_with_the_figures(cast: Cast) -> None:
    rule(cast, Signal.GOLD_ACCURACY, 0.6)
    for number in range(5):
        answer(cast, cast.bob, LEFT_IS_BETTER, gold=1 if number < 2 else -1)
        answer(cast, cast.lena, LEFT_IS_BETTER, gold=1 if number < 3 else -1)
    assert paused(cast) == ["bob"]
    bob = member(cast, cast.bob)
    assert bob.state == Membership.State.PAUSED
    assert bob.state_reason == "Agreed with 2 of 5 gold items; the rule asks for 60 %."
    event = AuditEvent.objects.get(action="pause_member")
    assert (event.actor, event.detail["reason"]) == (None, bob.state_reason)


def test_gold_is_compared_in_canonical_order(cast: Cast) -> None:
    rule(cast, Signal.GOLD_ACCURACY, 0.6)
    for _ in range(5):
        answer(cast, cast.bob, LEFT_IS_BETTER, gold=-1, shown=(1, 0))
    assert paused(cast) == []
    assert measure(Signal.GOLD_ACCURACY, member(cast, cast.bob), 5).hits == 5


def test_a_rule_waits_for_as_many_judgments_as_it_looks_at(cast: Cast) -> None:
    rule(cast, Signal.GOLD_ACCURACY, 0.6)
    for _ in range(4):
        answer(cast, cast.bob, LEFT_IS_BETTER, gold=-1)
        answer(cast, cast.bob, LEFT_IS_BETTER)
    assert paused(cast) == []
    answer(cast, cast.bob, LEFT_IS_BETTER, gold=-1)
    assert paused(cast) == ["bob"]


def test_only_the_newest_judgments_count(cast: Cast) -> None:
    rule(cast, Signal.GOLD_ACCURACY, 0.6)
    for gold in [-1] * 5 + [1] * 5:
        answer(cast, cast.bob, LEFT_IS_BETTER, gold=gold)
    assert paused(cast) == []


def test_who_is_too_fast_is_paused(cast: Cast) -> None:
    rule(cast, Signal.SPEED, 3)
    for number in range(5):
        answer(cast, cast.bob, LEFT_IS_BETTER, seconds=1.2 if number else 60)
        answer(cast, cast.lena, LEFT_IS_BETTER, seconds=4)
    assert paused(cast) == ["bob"]
    assert member(cast, cast.bob).state_reason == (
        "Took 1.2 s or less for half of the last 5 answers; the rule asks for 3 s."
    )


def test_changing_an_answer_quickly_is_not_speeding(cast: Cast) -> None:
    rule(cast, Signal.SPEED, 3)
    for _ in range(5):
        given = answer(cast, cast.bob, LEFT_IS_BETTER)
        submit_judgment(
            assignment=given, client_key=f"again-{given.pk}",
            answers={"overall": AnswerValue(strength=-1)}, active_ms=500,
        )  # fmt: skip
    assert paused(cast) == []


def test_straight_lining_is_seen_by_side_and_not_by_response(cast: Cast) -> None:
    rule(cast, Signal.STRAIGHT_LINING, 0.9)
    for number in range(6):
        shown = (0, 1) if number % 2 else (1, 0)
        left, right = AnswerValue(strength=1 + number % 3), AnswerValue(strength=-1)
        answer(cast, cast.bob, left, shown=shown)
        # The same canonical response each time: the side changes with the order shown.
        answer(cast, cast.lena, left if number % 2 else right, shown=shown)
    assert paused(cast) == ["bob"]
    assert "5 of the last 5 items the same way by side" in member(cast, cast.bob).state_reason


def test_lists_left_as_they_were_shown_are_straight_lining(cast: Cast) -> None:
    as_shown = AnswerValue(ranks=(1, 2, 3))
    for shown in [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1), (2, 0, 1)]:
        answer(cast, cast.bob, as_shown, shown=shown, kind=Kind.LISTWISE)
    assert measure(Signal.STRAIGHT_LINING, member(cast, cast.bob), 5).value == 1


def test_thumbs_have_no_side(cast: Cast) -> None:
    for _ in range(5):
        answer(cast, cast.bob, AnswerValue(thumb=1), shown=(0,), kind=Kind.THUMBS)
    assert measure(Signal.STRAIGHT_LINING, member(cast, cast.bob), 5).looked_at == 0


def test_each_kind_has_its_own_most_frequent_answer() -> None:
    mixed = [("pairwise", 1)] * 3 + [("listwise", (1, 2))] * 3
    assert straight_lining(mixed).value == 1
    assert straight_lining([("pairwise", 1), ("pairwise", -1)]).value == 0.5
    assert straight_lining([]).value is None


def test_nothing_measured_breaks_no_rule_and_says_nothing() -> None:
    rule = PauseRule(signal=Signal.SPEED, threshold=3, window=5)
    assert not breaks(rule, speed([]))
    assert in_words(speed([])) == ""
    assert reason(rule, speed([1000, 2000])).endswith("the rule asks for 3 s.")


def test_a_manager_restores_and_the_rule_starts_anew(cast: Cast) -> None:
    rule(cast, Signal.GOLD_ACCURACY, 0.6)
    for _ in range(5):
        answer(cast, cast.bob, LEFT_IS_BETTER, gold=-1)
    assert paused(cast) == ["bob"]
    restored = restore_member(membership=member(cast, cast.bob), actor=cast.mary)
    assert restored.restored_at is not None
    assert paused(cast) == []
    for _ in range(5):
        answer(cast, cast.bob, LEFT_IS_BETTER, gold=-1)
    assert paused(cast) == ["bob"]


def test_a_paused_person_holds_nothing(cast: Cast) -> None:
    rule(cast, Signal.GOLD_ACCURACY, 0.6)
    open_item = make_item(cast.project)
    held = lease(open_item, cast.bob)
    for _ in range(5):
        answer(cast, cast.bob, LEFT_IS_BETTER, gold=-1)
    assert paused(cast) == ["bob"]
    held.refresh_from_db()
    open_item.refresh_from_db()
    assert (held.state, open_item.open_slots) == (Assignment.State.EXPIRED, open_item.overlap)


def test_the_only_manager_is_never_paused(cast: Cast) -> None:
    rule(cast, Signal.GOLD_ACCURACY, 0.6)
    for _ in range(5):
        answer(cast, cast.mary, LEFT_IS_BETTER, gold=-1)
    assert paused(cast) == []
    assert member(cast, cast.mary).state == Membership.State.ACTIVE


def test_who_answered_longer_ago_is_looked_at_no_more(cast: Cast) -> None:
    rule(cast, Signal.GOLD_ACCURACY, 0.6)
    for _ in range(5):
        answer(cast, cast.bob, LEFT_IS_BETTER, gold=-1)
    Assignment.objects.update(finished_at=timezone.now() - timedelta(hours=1))
    assert paused(cast) == []


def test_without_rules_nobody_is_paused(cast: Cast) -> None:
    for _ in range(5):
        answer(cast, cast.bob, LEFT_IS_BETTER, gold=-1, seconds=0)
    assert paused(cast) == []


def test_the_sweep_keeps_the_rules_of_each_project(cast: Cast) -> None:
    rule(cast, Signal.GOLD_ACCURACY, 0.6)
    rule(cast, Signal.SPEED, 1)
    for _ in range(5):
        answer(cast, cast.bob, LEFT_IS_BETTER, gold=-1, seconds=0.1)
    for _ in range(2):
        keep_pause_rules()
    assert member(cast, cast.bob).state == Membership.State.PAUSED
    assert AuditEvent.objects.filter(action="pause_member").count() == 1


def test_judgments_of_another_project_do_not_count(cast: Cast) -> None:
    rule(cast, Signal.SPEED, 3)
    for _ in range(5):
        answer(cast, cast.bob, LEFT_IS_BETTER, seconds=0.5)
    elsewhere = Membership(project_id=cast.project.pk + 1000, user=cast.bob)
    assert measure(Signal.SPEED, elsewhere, 5).looked_at == 0
    assert Judgment.objects.count() == 5


def test_rules_are_set_changed_and_taken_away(cast: Cast) -> None:
    def put(**rules: RuleValues) -> list[tuple[str, float, int]]:
        found = set_pause_rules(project=cast.project, actor=cast.mary, rules=rules)
        return [(one.signal, one.threshold, one.window) for one in found]

    assert put(speed=RuleValues(2, 20)) == [("speed", 2, 20)]
    assert put(speed=RuleValues(2, 20)) == [("speed", 2, 20)]
    assert AuditEvent.objects.filter(action="set_pause_rules").count() == 1
    both = {"speed": RuleValues(1.5, 30), "gold_accuracy": RuleValues(0.6, 20)}
    assert put(**both) == [("gold_accuracy", 0.6, 20), ("speed", 1.5, 30)]
    assert put() == []
    assert AuditEvent.objects.filter(action="set_pause_rules").count() == 3


@pytest.mark.parametrize(
    ("signal", "values", "words"),
    [
        ("mood", RuleValues(1, 20), "looks at one of"),
        ("gold_accuracy", RuleValues(60, 20), "between 0 and 100 %"),
        ("speed", RuleValues(-1, 20), "threshold"),
        ("speed", RuleValues(1, 4), "window"),
        ("speed", RuleValues(1, 1001), "window"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    cast: Cast, signal: str, values: RuleValues, words: str
) -> None:
    with pytest.raises(PrefloopError, match=words):
        set_pause_rules(project=cast.project, actor=cast.mary, rules={signal: values})
    assert not cast.project.pause_rules.exists()


def test_answers_without_a_time_say_nothing_of_speed(cast: Cast) -> None:
    rule(cast, Signal.SPEED, 3)
    for seconds in (1, None, 1, None, 1, 1):
        answer(cast, cast.bob, LEFT_IS_BETTER, seconds=seconds)
    assert paused(cast) == []
    assert measure(Signal.SPEED, member(cast, cast.bob), 5).looked_at == 4
    answer(cast, cast.bob, LEFT_IS_BETTER, seconds=1)
    assert paused(cast) == ["bob"]
