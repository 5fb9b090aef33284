from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from annotation.models import Item, Judge, JudgeCall, JudgeRun, JudgeVerdict, Price
from annotation.selectors import judge_items
from annotation.selectors.judge_left import choices_left, why_none
from annotation.services import judge_estimate
from annotation.services.judge import import_judge
from annotation.services.judge_run import estimate_run, queue_run, raise_cap
from annotation.services.judge_template import set_project_judge
from core.errors import PrefloopError
from core.models import Job
from tests.cast import Cast, make_item, make_response
from tests.feedback.votes import judged
from tests.judges import make_judge


@pytest.fixture
def judge(cast: Cast) -> Judge:
    return make_judge(cast.project)


def price(judge: Judge, into: str, out: str, day: date = date(2026, 1, 1)) -> None:
    assert judge.model is not None
    rates = {"input_per_million": Decimal(into), "output_per_million": Decimal(out)}
    Price.objects.update_or_create(model=judge.model, valid_from=day, defaults=rates)


def queue(cast: Cast, judge: Judge, **asked: Any) -> JudgeRun:
    if judge.model is not None:
        price(judge, "0", "0")
    given = {"project": cast.project, "judge": judge, "created_by": cast.rosa, "cap": Decimal(1)}
    return queue_run(**given | asked)


def test_items_calls_and_tokens_from_the_texts(cast: Cast, judge: Judge) -> None:
    for _ in range(3):
        make_item(cast.project)
    told = estimate_run(project=cast.project, judge=judge)
    # Both orders, one sample, the verdict in one call.
    assert (told.items, told.calls, told.sampled) == (3, 6, 3)
    # At most: with a repair of each.
    assert told.completion_tokens == 12 * judge.settings["max_tokens"]
    assert told.prompt_tokens > 6 * 50
    assert told.cost == 0
    assert (told.price_known, told.seconds) == (False, None)


def test_the_cost_is_at_most_what_would_be_reserved(cast: Cast, judge: Judge) -> None:
    make_item(cast.project)
    price(judge, "0", "1000")
    told = estimate_run(project=cast.project, judge=judge)
    assert told.cost == Decimal(4 * judge.settings["max_tokens"]) / 1000
    assert told.likely_cost == told.cost / 2
    price(judge, "1000", "1000", date(2026, 6, 1))
    dearer = estimate_run(project=cast.project, judge=judge)
    # Reserved by the byte, expected by the usual four of them a token.
    assert dearer.cost > told.cost + Decimal(dearer.prompt_tokens) / 1000
    assert told.price_known


def test_many_items_are_sampled(cast: Cast, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        make_item(cast.project)
    whole = estimate_run(project=cast.project, judge=judge)
    monkeypatch.setattr(judge_estimate, "LOOKED_AT", 2)
    told = estimate_run(project=cast.project, judge=judge)
    assert (told.items, told.calls, told.sampled) == (5, 10, 2)
    assert told.prompt_tokens == pytest.approx(whole.prompt_tokens, rel=0.1)


def test_the_estimate_of_very_many_is_projected(
    cast: Cast, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in range(20):
        item = make_item(cast.project)
        Item.objects.filter(pk=item.pk).update(rnd=place * 50_000)
    monkeypatch.setattr(judge_items, "LOOKED_THROUGH", 10)
    monkeypatch.setattr(judge_estimate, "LOOKED_AT", 4)
    told = estimate_run(project=cast.project, judge=judge)
    assert (told.items, told.calls, told.is_exact, told.sampled) == (20, 40, False, 4)
    # A limit that is below it is no projection.
    told = estimate_run(project=cast.project, judge=judge, selection={"limit": 7})
    assert (told.items, told.calls, told.is_exact) == (7, 14, True)
    run = queue(cast, judge)
    assert (run.estimate["items"], run.estimate["is_exact"]) == (20, False)


def test_a_limit_and_a_choice_of_items(cast: Cast, judge: Judge) -> None:
    numbers = [make_item(cast.project).pk for _ in range(4)]

    def items(**selection: Any) -> int:
        return estimate_run(project=cast.project, judge=judge, selection=selection).items

    assert items(limit=3) == 3
    assert items(items=numbers[:2]) == 2
    assert items(takes="unlabeled", limit=9) == 4
    assert items(takes="disagreed") == 0


def test_a_trial_is_never_many_items(cast: Cast, judge: Judge) -> None:
    numbers = [make_item(cast.project).pk for _ in range(12)]
    for selection in ({}, {"limit": 50}, {"takes": "all", "unpriced": True}):
        run = queue(cast, judge, purpose="trial", selection=selection)
        assert (run.selection["limit"], run.estimate["items"]) == (10, 10)
    for few in ({"limit": 3}, {"items": numbers[:3]}):
        assert queue(cast, judge, purpose="trial", selection=few).estimate["items"] == 3
    with pytest.raises(PrefloopError, match="10 items at most"):
        queue(cast, judge, purpose="trial", selection={"items": numbers[:11]})


def test_lists_that_are_too_long_are_told_and_left_out(cast: Cast) -> None:
    judge = make_judge(cast.project, protocol="ranking", kind="listwise")
    lists = [make_item(cast.project, kind="listwise") for _ in range(2)]
    for position in range(3, 10):
        response = make_response(lists[0].prompt, generator=f"model {position}")
        lists[0].item_responses.create(response=response, position=position)
    told = estimate_run(project=cast.project, judge=judge)
    assert (told.items, told.too_long) == (1, 1)
    with pytest.raises(PrefloopError, match="longer than it is shown"):
        queue(cast, judge, selection={"items": [lists[0].pk]})


def test_past_calls_tell_the_time_and_the_length_of_replies(cast: Cast, judge: Judge) -> None:
    item = make_item(cast.project)
    make_item(cast.project)
    price(judge, "0", "1000")
    run = JudgeRun.objects.create(project=cast.project, judge=judge, cap=1)
    JudgeVerdict.objects.create(judge=judge, run=run, item=item, purpose="judge", outcome="failed")
    for number in range(4):
        JudgeCall.objects.create(
            judge=judge,
            run=run,
            call_key=str(number),
            purpose="judge/verdict",
            state="done",
            latency_ms=8_000,
            completion_tokens=10,
        )
    assert judge.model is not None
    judge.model.provider.concurrency = 4
    judge.model.provider.save()
    told = estimate_run(project=cast.project, judge=judge)
    assert (told.calls, told.seconds, told.likely_cost) == (2, 4.0, Decimal("0.02"))
    judge.model.provider.requests_per_minute = 10
    judge.model.provider.save()
    assert estimate_run(project=cast.project, judge=judge).seconds == 12.0


def test_past_calls_tell_how_many_tokens_a_text_has(cast: Cast, judge: Judge) -> None:
    asked = make_item(cast.project)
    make_item(cast.project)
    price(judge, "1000", "0")
    guessed = estimate_run(project=cast.project, judge=judge, selection={"items": [asked.pk]})
    assert guessed.learned_from == ""
    run = JudgeRun.objects.create(project=cast.project, judge=judge, cap=1)

    def call(number: int, purpose: str, tokens: int, **more: Any) -> None:
        given = {"item": asked, "state": "done", "latency_ms": 1, **more}
        JudgeCall.objects.create(
            judge=judge, run=run, call_key=str(number), purpose=purpose, prompt_tokens=tokens,
            **given,
        )  # fmt: skip

    # Both orders have one and a half times what English would have; a repair adds to that.
    each = guessed.prompt_tokens * 3 // 4
    for number in range(2):
        call(number, "trial/verdict", each)
    told = estimate_run(project=cast.project, judge=judge, selection={"items": [asked.pk]})
    assert told.prompt_tokens == pytest.approx(guessed.prompt_tokens * 1.5, abs=2)
    assert told.likely_cost == Decimal(told.prompt_tokens) / 1000
    assert (told.learned_from, told.cost) == ("judge", guessed.cost)
    # Injected texts, rewards and what failed have lengths of their own.
    call(2, "canary x/verdict", 90_000)
    call(3, "reward/verdict", 90_000, item=None)
    call(4, "judge/verdict", 90_000, state="failed")
    call(5, "trial/repair", each)
    told = estimate_run(project=cast.project, judge=judge, selection={"items": [asked.pk]})
    assert told.prompt_tokens == pytest.approx(guessed.prompt_tokens * 2.25, abs=2)
    other = make_judge(cast.project, name="Other", settings={"max_tokens": 64})
    theirs = estimate_run(project=cast.project, judge=other, selection={"items": [asked.pk]})
    assert (theirs.prompt_tokens, theirs.learned_from) == (told.prompt_tokens, "model")


def test_a_run_keeps_its_estimate_and_waits_as_a_job(cast: Cast, judge: Judge) -> None:
    make_item(cast.project)
    run = queue(cast, judge)
    assert run.job is not None
    assert (run.job.kind, run.job.queue, run.job.state) == ("judge", "judge", Job.State.QUEUED)
    assert (run.job.args, run.job.project_id) == ({"run": run.pk}, cast.project.pk)
    assert (run.estimate["items"], run.estimate["calls"]) == (1, 2)
    assert run.selection == {"takes": "all"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"cap": Decimal(-1)}, "A cap is between"),
        ({"cap": Decimal("NaN")}, "A cap is between"),
        ({"selection": {"takes": "some"}}, "no choice"),
        ({"selection": {"limit": 0}}, "1 or more"),
        ({"selection": {"limit": True}}, "1 or more"),
        ({"selection": {"items": []}}, "by number"),
        ({"selection": {"items": ["1"]}}, "by number"),
        ({"selection": {"where": "1=1"}}, "A selection has no"),
        ({"selection": {"takes": "none"}}, "No item is left"),
        ({"selection": {"purpose": "judge"}}, "A selection has no"),
        ({"purpose": "reward"}, "by a training run"),
        ({"purpose": "fun"}, "no purpose"),
        ({"purpose": "repeat"}, "No item is left"),
    ],
)
def test_what_is_wrong_is_said(cast: Cast, judge: Judge, asked: dict[str, Any], words: str) -> None:
    make_item(cast.project)
    with pytest.raises(PrefloopError, match=words):
        queue(cast, judge, **asked)
    assert not JudgeRun.objects.exists()


def test_what_the_project_has_chosen_counts(cast: Cast, judge: Judge) -> None:
    item = make_item(cast.project)

    def choose(takes: str) -> None:
        set_project_judge(project=cast.project, judge=judge, takes=takes, actor=cast.rosa)

    choose("none")
    for selection in ({}, {"takes": "all"}, {"items": [item.pk]}):
        with pytest.raises(PrefloopError, match="takes no items"):
            queue(cast, judge, selection=selection)
    # What makes no judgments is still allowed.
    queue(cast, judge, purpose="trial", selection={"items": [item.pk]})
    choose("unlabeled")
    assert queue(cast, judge).selection == {"takes": "unlabeled"}


def test_an_imported_judge_is_never_asked(cast: Cast) -> None:
    make_item(cast.project)
    with pytest.raises(PrefloopError, match="cannot be asked"):
        queue(cast, import_judge(name="GPT-4", model_name="gpt-4"))


def test_a_cap_is_never_below_what_is_booked(cast: Cast, judge: Judge) -> None:
    make_item(cast.project)
    run = queue(cast, judge)
    JudgeRun.objects.filter(pk=run.pk).update(settled=Decimal("0.5"), reserved=Decimal("0.25"))
    with pytest.raises(PrefloopError, match="cannot be lower"):
        raise_cap(run=run, cap=Decimal("0.7"), actor=cast.rosa)
    assert raise_cap(run=run, cap=Decimal("0.75"), actor=cast.rosa).cap == Decimal("0.75")


def test_why_nothing_is_left_is_said(cast: Cast, judge: Judge) -> None:
    def why(**selection: Any) -> str:
        asked = selection or {"takes": "unlabeled"}
        assert not estimate_run(project=cast.project, judge=judge, selection=asked).items
        return why_none(cast.project, judge, asked, "judge")

    assert why() == "The project has no items yet."
    thumb = make_item(cast.project, kind="thumbs")
    assert why() == "No item is of a kind that it can judge."
    assert "hidden gold" not in why(items=[thumb.pk])
    gold = make_item(cast.project)
    Item.objects.filter(pk=gold.pk).update(is_gold=True)
    assert "hidden gold" in why()
    known = judged(cast.project, "pairwise", 2, 2)
    assert why() == "People have judged the one item that it can judge."
    assert [one.takes for one in choices_left(cast.project, judge)] == ["all"]
    assert "Nothing of it failed" in why(takes="all", again=True)
    run = JudgeRun.objects.create(project=cast.project, judge=judge, cap=1)
    JudgeVerdict.objects.create(judge=judge, run=run, item=known, purpose="judge", outcome="judged")
    assert why(takes="all") == "It was asked about the one item of it before."
    assert "people do not disagree" in why(takes="disagreed")
    assert "the items that it has judged" in why_none(cast.project, judge, {}, "canary")
    assert not [*choices_left(cast.project, judge)]
