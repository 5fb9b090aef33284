from __future__ import annotations

import pytest

from annotation.models import Prompt, PromptCluster, Response, Side
from annotation.services.content import (
    NewPrompt,
    NewResponse,
    add_prompts,
    add_responses,
    get_generator,
)
from core.errors import PrefloopError
from tests.cast import Cast, make_project
from tests.races import in_threads

TEXTS = [f"Tell me about the city number {n} of {'abcdefgh'[n % 8] * 9}." for n in range(40)]
WORDS = "amber birch cedar dune elm fern grove heath iris juniper kelp larch moss nettle oak pine"


def prompt(text: str, **fields) -> NewPrompt:
    return NewPrompt(messages=[{"role": "user", "content": text}], **fields)


def distinct(count: int) -> list[NewPrompt]:
    """Texts that share no run of letters worth speaking of."""
    words = WORDS.split()
    return [
        prompt(f"{words[i % 16] * 5} {i * 7919} {words[(i * 5) % 16] * 4}") for i in range(count)
    ]


def test_each_prompt_is_stored_once_and_in_the_order_given(cast: Cast) -> None:
    first = add_prompts(project=cast.project, prompts=distinct(3))
    again = add_prompts(project=cast.project, prompts=list(reversed(distinct(4))))
    assert [one.pk for one in again[1:]] == [one.pk for one in reversed(first)]
    assert Prompt.objects.count() == 4


def test_a_prompt_given_twice_at_once_is_one(cast: Cast) -> None:
    one, other = add_prompts(
        project=cast.project, prompts=[prompt("Why?", external_id="a"), prompt("Why?")]
    )
    assert one is other
    assert one.external_id == "a"


def test_what_comes_back_is_what_is_stored(cast: Cast) -> None:
    given = NewPrompt(
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "“Na”?"}],
        tags={"topic": "music", "level": 2},
    )
    (made,) = add_prompts(project=cast.project, prompts=[given])
    stored = Prompt.objects.get(pk=made.pk)
    assert (stored.messages, stored.tags) == (given.messages, given.tags)
    assert (stored.content_hash, stored.side) == (made.content_hash, made.side)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user", "content": " "}],
        [{"role": "user", "content": "a\0"}],
        [{"role": "user", "content": "\ud800"}],
        [{"role": "user", "content": None}],
        [{"role": "wizard", "content": "Hello"}],
        [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}],
    ],
)
def test_what_no_prompt_can_be_is_refused(cast: Cast, messages) -> None:
    with pytest.raises(PrefloopError):
        add_prompts(project=cast.project, prompts=[NewPrompt(messages=messages)])
    assert not Prompt.objects.exists()


def test_near_duplicates_share_a_cluster_in_all_projects(cast: Cast) -> None:
    text = "How do I stop my sourdough from spreading while it bakes in a very hot oven at home?"
    (one,) = add_prompts(project=cast.project, prompts=[prompt(text)])
    (two,) = add_prompts(project=make_project(), prompts=[prompt(text.replace("very ", "really "))])
    assert one.cluster_id == two.cluster_id
    assert one.side == two.side


def test_a_prompt_near_both_sides_serves_neither(cast: Cast) -> None:
    text = "Which of the many bridges over the river is the oldest one that still carries trains?"
    (one,) = add_prompts(project=cast.project, prompts=[prompt(text)])
    other = PromptCluster.objects.create(
        side=Side.HELD_OUT if one.side == Side.TRAIN else Side.TRAIN
    )
    band = one.cluster.bands.first()
    assert band is not None
    band.cluster = other
    band.save()
    (both,) = add_prompts(project=cast.project, prompts=[prompt(text + " ")])
    assert both.side == Side.NEITHER


@pytest.mark.parametrize("batches", [[40], [1] * 12, [4, 1, 35]])
def test_with_enough_clusters_neither_side_is_empty(cast: Cast, batches: list[int]) -> None:
    prompts = distinct(sum(batches))
    for size in batches:
        batch, prompts = prompts[:size], prompts[size:]
        add_prompts(project=cast.project, prompts=batch)
    assert {Side.TRAIN, Side.HELD_OUT} <= set(Prompt.objects.values_list("side", flat=True))


def test_few_clusters_may_all_be_on_one_side(cast: Cast) -> None:
    add_prompts(project=cast.project, prompts=distinct(2))
    assert Prompt.objects.filter(side=Side.NEITHER).count() == 0


def test_a_response_is_one_a_generator_and_text(cast: Cast) -> None:
    (question,) = add_prompts(project=cast.project, prompts=distinct(1))
    answer = [{"role": "assistant", "content": "Yes."}]
    small, large = (get_generator(name=name) for name in ("small", "large"))
    given = [NewResponse(question, generator, answer) for generator in (small, large, small)]
    one, two, three = add_responses(responses=given)
    assert one is three
    assert one.uuid != two.uuid
    assert [row.pk for row in add_responses(responses=given)] == [one.pk, two.pk, one.pk]
    assert Response.objects.count() == 2


def test_an_empty_answer_is_an_answer(cast: Cast) -> None:
    (question,) = add_prompts(project=cast.project, prompts=distinct(1))
    silent = NewResponse(
        question, get_generator(name="silent"), [{"role": "assistant", "content": ""}]
    )
    (made,) = add_responses(responses=[silent])
    assert Response.objects.get(pk=made.pk).messages == silent.messages


def test_a_response_by_the_user_is_refused(cast: Cast) -> None:
    (question,) = add_prompts(project=cast.project, prompts=distinct(1))
    with pytest.raises(PrefloopError):
        add_responses(
            responses=[
                NewResponse(question, get_generator(name="x"), [{"role": "user", "content": "No"}])
            ]
        )


def test_a_generator_keeps_what_it_was_first_called(db: None) -> None:
    get_generator(name="small", family="llama", kind="model")
    again = get_generator(name="small", family="other", kind="dataset")
    assert (again.family, again.kind) == ("llama", "model")


@pytest.mark.django_db(transaction=True)
def test_the_same_content_from_several_at_once_is_stored_once() -> None:
    project = make_project()

    def act(number: int) -> list[int]:
        prompts = add_prompts(project=project, prompts=distinct(20))
        generator = get_generator(name="same")
        messages = [{"role": "assistant", "content": "Yes."}]
        return [
            row.pk
            for row in add_responses(
                responses=[NewResponse(one, generator, messages) for one in prompts]
            )
        ]

    results = in_threads(4, act)
    assert results[0] == results[1] == results[2] == results[3]
    assert (Prompt.objects.count(), Response.objects.count()) == (20, 20)
