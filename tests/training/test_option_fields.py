"""Fields made of the library's options: what they say of a wrong number, and what may vary."""

from __future__ import annotations

import pytest
from django import forms
from django.test import Client
from django.urls import reverse

from tests.cast import Cast
from tests.training.conftest import TINY, Launch
from tests.training.test_launch import form_page
from tests.training.test_pages import form_data, page
from training.alignment.config import TrainingConfig
from training.alignment.options import describe_options
from training.forms.options import in_labels, number_field, option_field
from training.forms.rewards import reward_fields


def error_of(field: forms.Field, value: str) -> str:
    with pytest.raises(forms.ValidationError) as refused:
        field.clean(value)
    (words,) = refused.value.messages
    return words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("learning_rate", "Enter a number from 0 to 1."),
        ("max_grad_norm", "Enter a number from 1e-6 to 1,000,000."),
        ("adam_beta2", "Enter a number from 0 to 0.999999."),
        ("batch_size", "Enter a whole number from 1 to 65,536."),
        ("warmup_steps", "Enter a whole number, 0 or more."),
    ],
)
def test_a_wrong_number_is_told_its_range(name: str, words: str) -> None:
    """A browser sends nothing of what is no number, such as 1e400: that is no empty field."""
    (option,) = (one for one in describe_options(TrainingConfig) if one.name == name)
    field = option_field(option)
    for value in ("", "many", "-1", "1e400", "nan"):
        assert error_of(field, value) == words
    assert field.clean(str(option.default)) == option.default


def test_the_ends_of_a_range_are_in_it_and_have_a_true_minus() -> None:
    field = number_field(min_value=-1e6, max_value=1e6)
    assert error_of(field, "2000000") == "Enter a number from −1,000,000 to 1,000,000."
    assert [field.clean(edge) for edge in ("-1000000", "1000000")] == [-1e6, 1e6]
    assert error_of(number_field(), "x") == "Enter a number."
    assert error_of(number_field(max_value=3, is_whole=True), "4") == (
        "Enter a whole number, 3 or less."
    )
    weight = reward_fields([])["reward_weight"]
    assert error_of(weight, "") == "Enter a number from −1,000,000 to 1,000,000."


@pytest.mark.usefixtures("snapshot", "tiny_model_folder")
def test_the_launch_form_says_the_range_at_the_field(cast: Cast, client: Client) -> None:
    client.force_login(cast.ada)
    given = form_data(form_page(client, cast)) | {"base_model": TINY, "learning_rate": ""}
    reply = client.post(reverse("training:launch", args=[cast.project.pk]), given)
    assert reply.status_code == 422
    field = reply.text.index('name="learning_rate"')
    assert "Enter a number from 0 to 1." in reply.text[field : field + 700]


def test_the_librarys_names_become_labels() -> None:
    said = "2000 more than max_prompt_length exceed max_length 1024"
    assert in_labels(said) == "2000 more than “Max prompt length” exceed “Max length” 1024"
    plain = "The device has too little memory for a batch_of_rows."
    assert in_labels(plain) == plain


@pytest.mark.usefixtures("snapshot", "tiny_model_folder")
def test_rollouts_that_do_not_fit_are_told_by_the_labels(cast: Cast, client: Client) -> None:
    client.force_login(cast.ada)
    project = [cast.project.pk]
    given = form_data(form_page(client, cast, method="grpo")) | {
        "base_model": TINY, "reward_model": "", "verifier": "final_number", "max_length": "1024",
        "max_new_tokens": "2000",
    }  # fmt: skip
    told = client.get(reverse("training:launch-estimate", args=project), given).text
    words = "2000 more than “Max prompt length” exceed “Max length” 1024"
    assert words in told
    assert "“Max new tokens”: " in told
    assert words in client.post(reverse("training:launch", args=project), given).text


@pytest.mark.usefixtures("snapshot", "tiny_model_folder")
def test_nothing_varies_that_does_not_change_what_is_learned(cast: Cast, client: Client) -> None:
    client.force_login(cast.ada)
    shown = form_page(client, cast, method="dpo")
    _, _, varied = shown.partition('name="sweep_1"')
    varied, _, _ = varied.partition("</select>")
    for name in ("beta", "learning_rate", "seed", "warmup_steps"):
        assert f'value="{name}"' in varied
    for name in ("checkpoint_every", "evaluate_every", "step_sample_prompts", "pass_tokens"):
        assert f'name="{name}"' in shown
        assert f'value="{name}"' not in varied


def test_the_form_and_the_runs_page_spell_alike(cast: Cast, client: Client, launch: Launch) -> None:
    run = launch()
    client.force_login(cast.ada)
    form = form_page(client, cast)
    assert ">Optimiser</label>" in form
    assert "<dt>optimiser</dt>" in page(client, "run", run.project_id, run.pk)
    assert "a part of them held out" in form
