"""The form of RLHF in three stages: what each stage may set, and what all of it would need."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Prompt
from feedback.models import Snapshot
from feedback.services import freeze_snapshot
from tests.cast import Cast
from tests.training.conftest import TINY
from tests.training.test_pages import form_data
from training.alignment.budget import GIBI, Budget
from training.alignment.methods import get_method
from training.alignment.options import describe_options
from training.alignment.sizes import Machine, Part
from training.models import Recipe
from training.views.estimates import stages_in_words

pytestmark = pytest.mark.usefixtures("snapshot", "tiny_model_folder")


@pytest.fixture
def admin(cast: Cast, client: Client) -> Client:
    client.force_login(cast.ada)
    return client


def form_page(client: Client, cast: Cast, **chosen: str) -> str:
    return client.get(reverse("training:new-recipe", args=[cast.project.pk]), chosen).text


def estimate_of(client: Client, cast: Cast, given: dict[str, str]) -> str:
    response = client.get(reverse("training:new-recipe-estimate", args=[cast.project.pk]), given)
    assert response.status_code == 200
    return response.text


def test_a_policy_has_its_rollouts_rewards_and_settings(admin: Client, cast: Cast) -> None:
    shown = form_page(admin, cast)
    assert "Length penalty" in shown
    assert "Policy-" not in shown
    for option in describe_options(get_method("ppo").hyperparameters):
        assert f'name="policy-method-{option.name}"' in shown, option.name
    given = form_data(shown) | {
        "base_model": TINY, "criterion": "overall", "max_length": "300", "sft-epochs": "2.0",
        "max_prompt_length": "100", "policy-prompts_per_step": "2", "policy-kl_budget": "9",
        "policy-length_penalty": "0.5", "policy-length_limit": "50",
        "policy-method-kl_coefficient": "0.2", "reward-gradient_accumulation": "7",
        "sft-evaluate_every": "3",
    }  # fmt: skip
    reply = admin.post(reverse("training:new-recipe", args=[cast.project.pk]), given)
    assert reply.status_code == 302
    sft, reward, policy = Recipe.objects.get().steps.all()
    assert [step.config["max_length"] for step in (sft, reward, policy)] == [300, 300, 300]
    assert (sft.config["epochs"], reward.config["gradient_accumulation"]) == (2.0, 7)
    assert (sft.config["evaluate_every"], reward.config["evaluate_every"]) == (3, 25)
    assert (policy.config["prompts_per_step"], policy.config["kl_budget"]) == (2, 9.0)
    assert policy.config["hyperparameters"]["kl_coefficient"] == 0.2
    assert policy.config["reward_sources"] == {
        "length": {"kind": "length", "weight": 0.5, "limit": 50}
    }
    assert sft.run is not None
    assert sft.run.config["convert_data"] is True


def test_a_verifier_may_reward_beside_the_model_of_the_second_stage(
    admin: Client, cast: Cast, snapshot: Snapshot
) -> None:
    Prompt.objects.update(tags={"reference": "42"})
    answered = freeze_snapshot(project=cast.project, created_by=cast.rosa)
    given = form_data(form_page(admin, cast)) | {
        "base_model": TINY, "criterion": "overall", "snapshot": str(answered.pk),
        "policy-verifier": "final_number", "policy-verifier_weight": "3",
    }  # fmt: skip
    reply = admin.post(reverse("training:new-recipe", args=[cast.project.pk]), given)
    assert reply.status_code == 302
    assert Recipe.objects.get().steps.get(position=2).config["reward_sources"] == {
        "verifier": {"kind": "verifier", "verifier": "final_number", "weight": 3.0}
    }


def test_what_was_typed_outlives_another_method(admin: Client, cast: Cast) -> None:
    first = form_data(form_page(admin, cast))
    assert (first["policy-samples_per_prompt"], first["adapter"]) == ("4", "full")
    typed = first | {"sft-epochs": "3", "policy-method-epochs_per_batch": "2", "name": "Mine"}
    typed.pop("policy-method-whiten_advantages")
    same = form_data(form_page(admin, cast, **typed | {"adapter": "lora"}))
    assert "policy-method-whiten_advantages" not in same
    assert same["policy-method-epochs_per_batch"] == "2"
    assert same["lora_rank"] == "16"
    other = form_data(form_page(admin, cast, **typed | {"policy_method": "grpo"}))
    assert (other["sft-epochs"], other["name"]) == ("3", "Mine")
    assert other["policy-method-epochs_per_batch"] == "1"
    assert other["policy-samples_per_prompt"] == "8"
    assert "policy-method-kl_coefficient" not in other
    assert "policy-method-clip_low" in other


def test_what_a_stage_refuses_stands_at_its_field(admin: Client, cast: Cast) -> None:
    given = form_data(form_page(admin, cast)) | {"base_model": TINY, "criterion": "overall"}
    url = reverse("training:new-recipe", args=[cast.project.pk])
    for name, value, words in (
        ("policy-method-mini_batches", "3", "policy-prompts_per_step"),
        ("max_length", "4000", "max_length"),
        ("policy-max_new_tokens", "900", "policy-max_new_tokens"),
        ("policy-kl_budget", "-1", "policy-kl_budget"),
        ("policy-verifier", "exact_answer", "policy-verifier"),
    ):
        reply = admin.post(url, given | {name: value})
        assert reply.status_code == 422, name
        field = reply.text.index(f'name="{words}"')
        assert 'class="field-error' in reply.text[field : field + 700], name
    assert not Recipe.objects.exists()


def test_an_estimate_of_all_stages_stands_beside_the_form(admin: Client, cast: Cast) -> None:
    shown = form_page(admin, cast, base_model=TINY)
    assert reverse("training:new-recipe-estimate", args=[cast.project.pk]) in shown
    assert "of memory in the largest stage, and" in shown
    given = form_data(shown) | {"base_model": TINY}
    first = estimate_of(admin, cast, given)
    for words in ("Bradley–Terry reward model, 1 step", "Proximal policy optimisation, 2 steps"):
        assert words in first
    more = estimate_of(admin, cast, given | {"policy-max_steps": "77", "policy-epochs": "1000"})
    assert "Proximal policy optimisation, 77 steps" in more
    too_long = estimate_of(admin, cast, given | {"max_length": "4000"})
    assert "has only 2048 positions" in too_long
    wrong = estimate_of(admin, cast, given | {"sft-batch_size": "none"})
    assert "correct “Batch size” first" in wrong
    assert "of memory in" not in wrong


def test_one_stage_runs_after_another() -> None:
    def budget(memory: float, seconds: float, steps: int) -> Budget:
        machine = Machine(4 * GIBI, 1e10, 1e10, "a test")
        parts = (Part("All", memory * GIBI),), (Part("All", seconds),)
        return Budget(*parts, steps, 1.0, machine, warm_up=2, evaluations=steps // 8)

    told = stages_in_words(
        {"A": budget(1, 60, 1), "B": budget(3.9, 120, 8), "C": budget(2, 600, 3)}
    )
    assert told.sentence == (
        "About 3.9 GiB of memory in the largest stage, and 13 minutes for all of them."
    )
    assert "more than fits" in told.warning
    assert told.memory == [("A", "1.0 GiB"), ("B", "3.9 GiB"), ("C", "2.0 GiB")]
    assert told.notes[0].startswith("C: 2 of 3 steps warm up")
    assert told.notes[1].startswith("C: There is no evaluation before the end")
    assert told.time[1:] == [("B, 8 steps", "2 minutes"), ("C, 3 steps", "10 minutes")]


@pytest.mark.parametrize(("who", "status"), [("mallory", 404), ("rosa", 403), ("mary", 403)])
def test_who_may_ask(client: Client, cast: Cast, who: str, status: int) -> None:
    client.force_login(getattr(cast, who))
    url = reverse("training:new-recipe-estimate", args=[cast.project.pk])
    assert client.get(url).status_code == status


def test_without_a_snapshot_there_is_nothing_to_estimate(
    admin: Client, cast: Cast, snapshot: Snapshot
) -> None:
    given: dict[str, Any] = form_data(form_page(admin, cast)) | {"snapshot": "0"}
    assert "No estimate yet" in estimate_of(admin, cast, given)
