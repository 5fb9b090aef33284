from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import (
    Item,
    ItemResponse,
    Judge,
    JudgeRun,
    JudgeVerdict,
    Judgment,
    Kind,
    Prompt,
)
from annotation.selectors import judge_items
from annotation.selectors.judge_items import JudgeItems
from annotation.selectors.judge_pages import usable_items
from annotation.services.annotator import annotator_for_judge, annotator_for_user
from annotation.services.gold import set_gold
from annotation.services.judge import import_judge
from annotation.services.judgment_import import NewJudgment, record_judgments
from core.errors import PrefloopError
from core.models import User
from tests.cast import Cast, make_item, make_prompt, make_response
from tests.judges import make_judge


def taken(cast: Cast, judge: Judge, *, purpose: str = "judge", **selection: Any) -> list[int]:
    items = JudgeItems(judge, cast.project, selection, purpose=purpose)
    found = items.page(0, 100)
    assert items.count() == len(found)
    return found


def say(cast: Cast, item: Item, who: User, value: AnswerValue) -> None:
    size = item.item_responses.count()
    one = NewJudgment(item, annotator_for_user(user=who), {"overall": value}, tuple(range(size)))
    record_judgments(project=cast.project, judgments=[one])


def verdict(cast: Cast, judge: Judge, item: Item, outcome: str = "judged") -> JudgeVerdict:
    run, _ = JudgeRun.objects.get_or_create(project=cast.project, judge=judge, cap=1)
    return JudgeVerdict.objects.create(
        judge=judge, item=item, run=run, purpose="judge", outcome=outcome
    )


def test_all_but_gold_equal_texts_and_what_was_withdrawn(cast: Cast) -> None:
    judge = make_judge(cast.project)
    items = [make_item(cast.project) for _ in range(5)]
    set_gold(item=items[1], answers={"overall": AnswerValue(strength=1)}, actor=cast.mary)
    Item.objects.filter(pk=items[2].pk).update(origin=Item.Origin.IDENTICAL)
    Prompt.objects.filter(pk=items[3].prompt_id).update(withdrawn_at=timezone.now())
    response = items[4].item_responses.get(position=0).response
    response.withdrawn_at = timezone.now()
    response.save()
    assert taken(cast, judge, takes="all") == [items[0].pk]
    assert taken(cast, judge, items=[one.pk for one in items]) == [items[0].pk]
    assert taken(cast, judge, takes="none") == []


def test_only_kinds_that_the_judge_can_judge(cast: Cast) -> None:
    judge = make_judge(cast.project)
    make_item(cast.project, kind=Kind.THUMBS)
    pair = make_item(cast.project)
    assert taken(cast, judge, takes="all") == [pair.pk]


def test_lists_that_are_too_long_to_be_shown_are_left_out(cast: Cast) -> None:
    judge = make_judge(cast.project, protocol="ranking", kind="listwise")
    short, longest, too_long = (make_list(cast, size) for size in (3, 9, 10))
    pair = make_item(cast.project)
    assert taken(cast, judge, takes="all") == [short.pk, longest.pk]
    assert taken(cast, judge, items=[too_long.pk]) == []
    items = JudgeItems(judge, cast.project, {"takes": "all"})
    assert (items.extent(100).count, items.extent(100).too_long) == (2, 1)
    of_pairs = JudgeItems(make_judge(cast.project, name="Pairs"), cast.project, {})
    assert (of_pairs.extent(100).some, of_pairs.extent(100).too_long) == ([pair.pk], 0)
    assert {item.pk for item in usable_items(cast.project, [Kind.LISTWISE])} == {
        short.pk, longest.pk}  # fmt: skip


def make_list(cast: Cast, size: int) -> Item:
    item = make_item(cast.project, kind=Kind.LISTWISE)
    for position in range(3, size):
        response = make_response(item.prompt, generator=f"model {position}")
        ItemResponse.objects.create(item=item, response=response, position=position)
    return item


def test_each_item_once(cast: Cast) -> None:
    judge = make_judge(cast.project)
    first, second = make_item(cast.project), make_item(cast.project)
    verdict(cast, judge, first)
    assert taken(cast, judge, takes="all") == [second.pk]
    assert taken(cast, judge, takes="all", purpose="trial") == [first.pk, second.pk]


def test_unlabeled_are_those_that_no_person_has_judged(cast: Cast) -> None:
    judge = make_judge(cast.project)
    by_bob, by_a_judge = make_item(cast.project), make_item(cast.project)
    say(cast, by_bob, cast.bob, AnswerValue(strength=1))
    other = annotator_for_judge(judge=import_judge(name="Other", model_name="o"))
    one = NewJudgment(by_a_judge, other, {"overall": AnswerValue(strength=1)}, (0, 1))
    record_judgments(project=cast.project, judgments=[one])
    assert taken(cast, judge, takes="unlabeled") == [by_a_judge.pk]


@pytest.mark.parametrize(
    ("one", "two", "disagree"),
    [
        (AnswerValue(strength=1), AnswerValue(strength=3), False),
        (AnswerValue(strength=1), AnswerValue(strength=-1), True),
        (AnswerValue(strength=0), AnswerValue(strength=2), True),
        (AnswerValue(strength=0), AnswerValue(strength=0, both_bad=True), False),
    ],
)
def test_disagreed_are_those_where_people_name_another_winner(
    cast: Cast, one: AnswerValue, two: AnswerValue, disagree: bool
) -> None:
    judge = make_judge(cast.project)
    item = make_item(cast.project)
    say(cast, item, cast.bob, one)
    assert taken(cast, judge, takes="disagreed") == []
    say(cast, item, cast.lena, two)
    assert taken(cast, judge, takes="disagreed") == [item.pk] * disagree


def test_lists_that_people_rank_otherwise_are_disagreed(cast: Cast) -> None:
    judge = make_judge(cast.project, protocol="ranking", kind="listwise")
    item = make_item(cast.project, kind=Kind.LISTWISE)
    say(cast, item, cast.bob, AnswerValue(ranks=(1, 2, 3)))
    say(cast, item, cast.lena, AnswerValue(ranks=(1, 3, 2)))
    assert taken(cast, judge, takes="disagreed") == [item.pk]


def test_again_takes_what_was_asked_in_vain(cast: Cast) -> None:
    judge = make_judge(cast.project)
    items = [make_item(cast.project) for _ in range(3)]
    for item, outcome in zip(items, ["judged", "failed", "unparsable"], strict=True):
        verdict(cast, judge, item, outcome)
    assert taken(cast, judge, again=True) == [items[1].pk, items[2].pk]


def test_again_takes_what_was_judged_under_older_guidelines(cast: Cast) -> None:
    judge = make_judge(cast.project)
    item = make_item(cast.project)
    annotator = annotator_for_judge(judge=judge)
    one = NewJudgment(item, annotator, {"overall": AnswerValue(strength=1)}, (0, 1))
    record_judgments(project=cast.project, judgments=[one])
    given = verdict(cast, judge, item)
    given.judgment = Judgment.objects.get()
    given.save()
    assert taken(cast, judge, again=True) == []
    assert taken(cast, judge, purpose="repeat 1") == [item.pk]
    newest = cast.project.protocol
    newest.pk, newest.version = None, newest.version + 1
    newest.save()
    assert taken(cast, judge, again=True) == [item.pk]
    assert taken(cast, judge) == []
    # There is nothing that an answer to another question could be compared with.
    assert taken(cast, judge, purpose="repeat 1") == []


def test_a_repeat_takes_what_was_judged(cast: Cast) -> None:
    judge = make_judge(cast.project)
    items = [make_item(cast.project) for _ in range(3)]
    verdict(cast, judge, items[0])
    verdict(cast, judge, items[1], "failed")
    assert taken(cast, judge, purpose="repeat 1") == [items[0].pk]


def test_pages_and_samples_are_of_the_same_items(cast: Cast) -> None:
    judge = make_judge(cast.project)
    numbers = [make_item(cast.project).pk for _ in range(6)]
    items = JudgeItems(judge, cast.project, {"takes": "all"})
    assert items.page(0, 4) + items.page(numbers[3], 4) == numbers
    drawn = items.sample(3, seed=7)
    assert len(drawn) == 3
    assert set(drawn) < set(numbers)
    assert drawn == items.sample(3, seed=7)
    assert items.sample(100) == numbers
    assert len({tuple(items.sample(3, seed=seed)) for seed in range(20)}) > 1
    assert items.count(most=4) == 4


def test_of_very_many_a_slice_of_the_ring_is_looked_through(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [make_item(cast.project) for _ in range(40)]
    numbers = [row.pk for row in rows]
    for place, row in enumerate(rows):
        Item.objects.filter(pk=row.pk).update(rnd=place * 25_000)
    items = JudgeItems(make_judge(cast.project), cast.project, {"takes": "all"})
    whole = items.extent(5)
    assert (whole.count, whole.is_exact, len(set(whole.some))) == (40, True, 5)
    samples = [items.sample(4, seed=seed) for seed in range(10)]
    monkeypatch.setattr(judge_items, "LOOKED_THROUGH", 10)
    part = items.extent(5)
    # A quarter of the ring, from its beginning.
    assert (part.count, part.is_exact) == (40, False)
    assert set(part.some) < set(numbers[:10])
    # Too few in it: all are counted.
    more = items.extent(11)
    assert (more.count, more.is_exact, len(more.some)) == (40, True, 11)
    # Which ones a sample has does not depend on how many are looked through.
    assert [items.sample(4, seed=seed) for seed in range(10)] == samples
    named = JudgeItems(Judge.objects.get(), cast.project, {"items": numbers[:20]})
    assert named.extent(5).count == 20


def test_a_draw_takes_prompts_in_turn(cast: Cast) -> None:
    prompts = [make_prompt(cast.project) for _ in range(3)]
    of = {
        make_item(cast.project, prompt=prompt).pk: prompt.pk
        for prompt, count in zip(prompts, (6, 2, 1), strict=True)
        for _ in range(count)
    }
    items = JudgeItems(make_judge(cast.project), cast.project, {"takes": "all"})
    drawn = list(items.draw(9, seed=5))
    assert sorted(drawn) == sorted(of)
    assert {of[one] for one in drawn[:3]} == {prompt.pk for prompt in prompts}
    assert {of[one] for one in drawn[3:5]} == {prompt.pk for prompt in prompts[:2]}
    assert list(items.draw(4, seed=5)) == drawn[:4]
    draws = [tuple(items.draw(4, seed=seed)) for seed in range(40)]
    assert len(set(draws)) > 5
    # Neither the first prompt nor the first item of one comes first more often.
    assert len({of[draw[0]] for draw in draws}) == 3
    assert len({draw[at] for draw in draws for at in range(3) if of[draw[at]] == prompts[0].pk}) > 2


@pytest.mark.parametrize("again", [False, True])
def test_a_draw_that_is_made_again_goes_on_where_it_stood(cast: Cast, again: bool) -> None:
    judge, prompt = make_judge(cast.project), make_prompt(cast.project)
    rows = [make_item(cast.project, prompt=prompt) for _ in range(4)]
    rows += [make_item(cast.project) for _ in range(4)]
    selection = {"takes": "all", "again": again}
    if again:
        for row in rows:
            verdict(cast, judge, row, "failed")
    run = JudgeRun.objects.create(project=cast.project, judge=judge, cap=1, selection=selection)
    items = JudgeItems(judge, cast.project, selection, run=run.pk)
    drawn = list(items.draw(8, seed=run.pk))
    for number in drawn[:3]:
        JudgeVerdict.objects.update_or_create(
            judge=judge, item_id=number, purpose="judge", defaults={"run": run, "outcome": "judged"}
        )
    assert list(items.draw(8, seed=run.pk)) == drawn[3:]
    assert items.count() == 5


def test_an_unknown_choice_is_refused(cast: Cast) -> None:
    with pytest.raises(PrefloopError, match="not “some”"):
        taken(cast, make_judge(cast.project), takes="some")
