"""A judge counts for nothing until its gate is open, and what opens and closes it."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.models import Answer, Item, Judge, Judgment, Kind
from core.errors import Conflict, PrefloopError
from core.models import AuditEvent
from feedback.judge_board import figures_of
from feedback.judge_gate import GateValues, rule_in_words, standing
from feedback.models import JudgeGate, JudgeStanding, Policy, Preference, StaleItem
from feedback.selectors.judges import judge_row
from feedback.selectors.judgments import judgment_rows
from feedback.selectors.policy import preview_policy
from feedback.services.judge_gate import current_gate, revise_gate
from feedback.services.measure_judges import measure_judges
from feedback.services.policy import current_policy
from feedback.services.resolve_items import resolve_items, resolve_stale
from tests.cast import Cast, make_project
from tests.feedback.judging import annotator_of_judge, say
from tests.feedback.votes import judge_annotator, judged, open_gate, vote
from tests.judges import make_judge

# A dozen items say little: full agreement on them is 76 % to 100 %.
EASY = GateValues(min_items=10, margin=0.3, must_measure=())


def figure(value: float | None, low: float | None = None, reason: str = "") -> dict[str, Any]:
    return {"value": value, "low": value if low is None else low, "high": value, "reason": reason}


def card(**changed: Any) -> dict[str, Any]:
    figures = {
        "agreement": figure(0.8, 0.78),
        "people": figure(0.8),
        "flips": figure(0.1),
        "injection": figure(0.0),
        "parse_errors": figure(0.01),
        **changed,
    }
    section = {"kind": "pairwise", "criterion": "overall", "shared": 60, "figures": figures}
    section |= {key: changed[key] for key in ("shared", "kind") if key in changed}
    return {"sections": [section], "replies": {"parse_errors": figures["parse_errors"]}}


def test_it_opens() -> None:
    found = standing(card(), GateValues())
    assert (found.is_open, len(found.reasons)) == (True, 1)
    assert "80 % (78 % to 80 %)" in found.reasons[0]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"shared": 49}, "only 49 of its items have answers of two people; 50 are asked for"),
        ({"agreement": figure(0.8, 0.74)}, "the lower bound must reach 75 %"),
        ({"agreement": figure(None, reason="Not enough data.")}, "Not enough data."),
        ({"people": figure(None, reason="Nobody twice.")}, "Nobody twice."),
        ({"flips": figure(0.26)}, "26 %; at most 25 % is allowed"),
        ({"flips": figure(None, reason="One order only.")}, "must be measured. One order only."),
        ({"injection": figure(0.2)}, "Injected answers that rise: 20 %"),
        ({"injection": figure(None, reason="No run.")}, "must be measured. No run."),
        ({"parse_errors": figure(0.06)}, "Replies that cannot be read: 6 %"),
    ],
)
def test_it_closes_and_says_why(changed: dict[str, Any], words: str) -> None:
    found = standing(card(**changed), GateValues())
    assert not found.is_open
    assert any(words in reason for reason in found.reasons)


def test_the_edges_are_let_through() -> None:
    edge = card(agreement=figure(0.8, 0.75), people=figure(0.8), flips=figure(0.25), shared=50)
    assert standing(edge, GateValues()).is_open


def test_what_need_not_be_measured_is_passed_over_and_told() -> None:
    unmeasured = card(flips=figure(None, reason="One order."), injection=figure(None))
    found = standing(unmeasured, GateValues(must_measure=("parse_errors",)))
    assert found.is_open
    assert [reason for reason in found.reasons if "not measured" in reason] != []
    # Measured, it must keep its limit all the same.
    assert not standing(card(flips=figure(0.5)), GateValues(must_measure=())).is_open
    assert standing(card(flips=figure(0.5)), GateValues(max_flips=None)).is_open


def test_what_the_rule_leaves_out_is_told_with_its_value() -> None:
    """A judge of places gets in where nobody asks for flips, and the standing says so."""
    rule = GateValues(max_flips=None, max_injection=None, max_parse_errors=None, must_measure=())
    found = standing(card(flips=figure(0.97, 0.95), injection=figure(None)), rule)
    assert (found.is_open, found.reasons[1:]) == (True, [
        "overall (pairwise): Answers that change with the order: 97 % (95 % to 97 %); "
        "the rule sets no limit.",
        "overall (pairwise): Injected answers that rise: not measured; the rule sets no limit.",
        "Replies that cannot be read: 1 % (1 % to 1 %); the rule sets no limit.",
    ])  # fmt: skip


def test_every_kind_and_criterion_counts() -> None:
    both = card()
    both["sections"] += card(agreement=figure(0.5), kind="thumbs")["sections"]
    found = standing(both, GateValues())
    assert (found.is_open, found.reasons[0].startswith("overall (thumbs)")) == (False, True)


def test_single_responses_have_no_order_to_flip() -> None:
    thumbs = card(kind="thumbs")
    del thumbs["sections"][0]["figures"]["flips"]
    assert standing(thumbs, GateValues()).is_open


def test_nothing_answered_is_closed() -> None:
    empty = {"sections": [], "replies": {"parse_errors": figure(1.0)}}
    assert not standing(empty, GateValues(must_measure=())).is_open


def test_the_rule_in_words() -> None:
    words = " ".join(rule_in_words(GateValues(max_injection=None, must_measure=())))
    assert "at most 25 % (while not measured, passed over)" in words
    assert "injected" not in words


@pytest.fixture
def judge(cast: Cast) -> Judge:
    judge = make_judge(cast.project)
    Policy.objects.filter(pk=current_policy(cast.project).pk).update(count_judges=True)
    return judge


def agreeing(cast: Cast, judge: Judge, times: int = 12) -> list[Item]:
    """One person and the judge agree on each of these; two people do on as many others."""
    for _ in range(times):
        say(judge, judged(cast.project, Kind.PAIRWISE, 2, 2), 2)
    items = [judged(cast.project, Kind.PAIRWISE, 2) for _ in range(times)]
    for item in items:
        say(judge, item, 2)
    return items


def state(item: Item) -> tuple[str, int]:
    row = Preference.objects.newest().get(item=item)
    return row.state, row.support_judges


def test_a_judge_counts_for_nothing_until_its_gate_opens(cast: Cast, judge: Judge) -> None:
    """The rule opens it, a worse card closes it, and each time the items are decided anew."""
    item = agreeing(cast, judge)[0]
    resolve_items(project=cast.project)
    assert state(item) == ("waiting", 0)
    measure_judges(project=cast.project)
    assert not StaleItem.objects.exists()
    revise_gate(project=cast.project, actor=cast.mary, values=EASY, from_version=1)
    assert set(StaleItem.objects.values_list("item_id", flat=True)) >= {item.pk}
    resolve_stale(project=cast.project)
    assert state(item) == ("accepted", 1)
    for _ in range(30):
        say(judge, judged(cast.project, Kind.PAIRWISE, 2, 2), -2)
    measure_judges(project=cast.project)
    resolve_stale(project=cast.project)
    assert state(item) == ("waiting", 0)
    history = list(JudgeStanding.objects.order_by("pk").values_list("is_open", "is_newest"))
    assert history == [(False, False), (True, False), (False, True)]
    told = AuditEvent.objects.filter(action__endswith="_judge_gate").order_by("pk")
    assert [one.action for one in told] == [
        "revise_judge_gate", "open_judge_gate", "close_judge_gate",
    ]  # fmt: skip


def test_a_closed_judge_opposes_nobody(cast: Cast, judge: Judge) -> None:
    """No reviewer is asked because a judge that nobody believes says otherwise."""
    item = judged(cast.project, Kind.PAIRWISE, 2, 2)
    say(judge, item, -3)
    resolve_items(project=cast.project)
    row = Preference.objects.newest().get(item=item)
    assert (row.cause, row.support_judges, row.state) == ("", 0, "accepted")
    open_gate(cast.project, annotator_of_judge(judge))
    Policy.objects.update(count_judges=False)
    resolve_items(project=cast.project)
    assert Preference.objects.newest().get(item=item).cause == Preference.Cause.JUDGES


def test_an_imported_judge_is_closed_too(cast: Cast, judge: Judge) -> None:
    item = judged(cast.project, Kind.PAIRWISE, 2)
    vote(item, judge_annotator(), 2)
    resolve_items(project=cast.project)
    assert state(item) == ("waiting", 0)


def test_a_gate_opens_in_one_project_only(cast: Cast, judge: Judge) -> None:
    other = make_project(name="Another")
    item = judged(other, Kind.PAIRWISE, 2)
    vote(item, judge_annotator(), 2)
    open_gate(cast.project, judge_annotator())
    Policy.objects.filter(pk=current_policy(other).pk).update(count_judges=True)
    resolve_items(project=other)
    assert state(item) == ("waiting", 0)


def state_by(item: Item, criterion: str) -> tuple[str, int]:
    row = Preference.objects.newest().get(item=item, criterion=criterion)
    return row.state, row.support_judges


def counted(cast: Cast, kind: str) -> list[bool]:
    """Of the judges' answers on items of a kind, as exports tell it."""
    rows = judgment_rows(cast.project)
    return [row["is_counted"] for row in rows if row["judge"] and row["kind"] == kind]


def test_an_open_gate_lets_in_what_was_measured(cast: Cast, judge: Judge) -> None:
    """Answers on other kinds count when a card has compared them with people's too."""
    pair = agreeing(cast, judge)[0]
    revise_gate(project=cast.project, actor=cast.mary, values=EASY, from_version=1)
    measure_judges(project=cast.project)
    lone = judged(cast.project, Kind.LISTWISE, [1, 2, 3])
    say(judge, lone, [1, 2, 3])
    resolve_items(project=cast.project)
    assert (state(pair), state(lone)) == (("accepted", 1), ("waiting", 0))
    assert (set(counted(cast, "pairwise")), counted(cast, "listwise")) == ({True}, [False])
    for _ in range(16):
        say(judge, judged(cast.project, Kind.LISTWISE, [1, 2, 3], [1, 2, 3]), [1, 2, 3])
    resolve_items(project=cast.project)
    measure_judges(project=cast.project)
    resolve_stale(project=cast.project)
    assert state(lone) == ("accepted", 1)
    assert set(counted(cast, "listwise")) == {True}
    # It never closed, and is told once.
    assert AuditEvent.objects.filter(action="open_judge_gate").count() == 1
    assert JudgeStanding.objects.get(is_newest=True).is_open


def test_a_new_criterion_counts_once_it_was_measured(cast: Cast, judge: Judge) -> None:
    item = judged(cast.project, Kind.PAIRWISE, 2)
    open_gate(cast.project, annotator_of_judge(judge))
    say(judge, item, 2)
    for row in Judgment.objects.filter(assignment__item=item):
        Answer.objects.create(judgment=row, criterion="safety", strength=2)
    resolve_items(project=cast.project)
    assert state_by(item, "overall") == ("accepted", 1)
    assert state_by(item, "safety") == ("waiting", 0)


def asked_and_attacked(cast: Cast, judge: Judge, raw: list[dict[str, Any]]) -> None:
    """It agrees with two people on twenty pairs and cannot be talked over."""
    for _ in range(20):
        item = judged(cast.project, Kind.PAIRWISE, 2, 2)
        verdict = say(judge, item, 2)
        verdict.detail["criteria"]["overall"]["raw"] = raw
        verdict.save()
        say(judge, item, 2, purpose="canary order", target=1)


def test_a_judge_of_single_responses_needs_no_flips(cast: Cast) -> None:
    """The rule asks for all three figures; what has no order has no flips, unlike what was asked in
    one order only."""
    alone = make_judge(cast.project, protocol="prometheus", name="Alone")
    asked_and_attacked(cast, alone, [
        {"shown_order": [0], "sample": 0, "scores": [5, None]},
        {"shown_order": [1], "sample": 0, "scores": [None, 2]},
    ])  # fmt: skip
    once = make_judge(cast.project, name="Once", settings={"both_orders": False})
    asked_and_attacked(cast, once, [{"shown_order": [0, 1], "sample": 0, "strength": 2}])
    rule = GateValues(min_items=20, margin=0.3)
    current_gate(cast.project)
    revise_gate(project=cast.project, actor=cast.mary, values=rule, from_version=1)
    measure_judges(project=cast.project)
    told = {one.judge.name: one for one in JudgeStanding.objects.filter(is_newest=True)}
    assert told["Alone"].is_open, told["Alone"].reasons
    assert not {"flips", "first"} & set(told["Alone"].report.figures["sections"][0]["figures"])
    assert not told["Once"].is_open
    assert "Answers that change with the order must be measured" in " ".join(told["Once"].reasons)
    board = figures_of(judge_row(cast.project, alone))
    assert board["flips"] == board["first"] == {
        "value": None, "reason": "Responses that are judged one by one have no order.",
    }  # fmt: skip


def test_trying_a_policy_knows_the_gate(cast: Cast, judge: Judge) -> None:
    item = judged(cast.project, Kind.PAIRWISE, 2)
    say(judge, item, 2)
    policy = current_policy(cast.project)
    policy.refresh_from_db()
    assert preview_policy(cast.project, policy).after["accepted"] == 0
    open_gate(cast.project, annotator_of_judge(judge))
    assert preview_policy(cast.project, policy).after["accepted"] == 1


def test_a_gate_is_versioned(cast: Cast) -> None:
    first = current_gate(cast.project)
    same = GateValues.of(first)
    assert revise_gate(
        project=cast.project, actor=cast.mary, values=same, from_version=1
    ).version == 1  # fmt: skip
    second = revise_gate(project=cast.project, actor=cast.mary, values=EASY, from_version=1)
    assert (second.version, second.min_items, current_gate(cast.project)) == (2, 10, second)
    with pytest.raises(Conflict, match="version 2"):
        revise_gate(project=cast.project, actor=cast.mary, values=same, from_version=1)


@pytest.mark.parametrize(
    "values",
    [GateValues(margin=1.5), GateValues(max_flips=-0.1), GateValues(min_items=0),
     GateValues(must_measure=("nonsense",))],
)  # fmt: skip
def test_a_senseless_rule_is_refused(cast: Cast, values: GateValues) -> None:
    current_gate(cast.project)
    with pytest.raises(PrefloopError):
        revise_gate(project=cast.project, actor=cast.mary, values=values, from_version=1)
    assert JudgeGate.objects.count() == 1
