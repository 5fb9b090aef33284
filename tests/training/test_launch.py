"""The launch form: what the registry makes of it, and what it says before a run starts."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.models import Job
from feedback.models import Snapshot
from tests.api import Api
from tests.cast import Cast
from tests.training.conftest import TINY, Launch
from tests.training.test_pages import form_data
from training.alignment.methods import get_method, methods
from training.alignment.options import describe_options
from training.alignment.sizes import Part
from training.models import MetricPoint, TrainingRun
from training.selectors.budget import FEWEST_STEPS, FORMER_RUNS, former_speeds, run_budget
from training.selectors.run import run_settings
from training.selectors.training_data import usable_methods
from training.services.run import checked_config
from training.views.estimates import duration, size, sweep_in_words

pytestmark = pytest.mark.usefixtures("snapshot", "tiny_model_folder")


@pytest.fixture
def admin(cast: Cast, client: Client) -> Client:
    client.force_login(cast.ada)
    return client


def form_page(client: Client, cast: Cast, **chosen: str) -> str:
    response = client.get(reverse("training:launch", args=[cast.project.pk]), chosen)
    assert response.status_code == 200
    return response.content.decode()


def estimate_of(client: Client, cast: Cast, **given: str) -> str:
    response = client.get(reverse("training:launch-estimate", args=[cast.project.pk]), given)
    assert response.status_code == 200
    return response.content.decode()


def test_only_methods_that_the_data_can_feed(admin: Client, cast: Cast, snapshot: Snapshot) -> None:
    shown = form_page(admin, cast)
    usable = {method.name for method in usable_methods(snapshot)}
    assert "dpo" in usable
    for method in methods():
        assert (f'<option value="{method.name}"' in shown) is (method.name in usable), method.name
    for family in {method.family for method in methods() if method.name in usable}:
        assert f'<optgroup label="{family}"' in shown


def test_every_method_has_its_fields_and_its_own_defaults(
    admin: Client, cast: Cast, snapshot: Snapshot
) -> None:
    for method in usable_methods(snapshot):
        shown = form_page(admin, cast, method=method.name)
        data = form_data(shown)
        for option in describe_options(method.hyperparameters):
            assert f'name="method-{option.name}"' in shown, (method.name, option.name)
        for name, value in method.defaults.items():
            if name in data:
                shown_value = "on" if value is True else str(value)
                assert data[name] == shown_value, (method.name, name)


@pytest.mark.parametrize(
    ("method", "offered", "left_out"),
    [
        ("dpo", {"soft_labels", "gradient_accumulation", "step_sample_prompts"},
         {"shard", "assistant_turns", "temperature"}),
        ("robust_dpo", {"gradient_accumulation", "evaluation_limit"}, {"soft_labels", "shard"}),
        ("grpo", {"temperature", "evaluate_every", "sample_prompts"},
         {"gradient_accumulation", "pass_tokens", "evaluation_limit", "step_sample_prompts",
          "shard", "soft_labels", "value_learning_rate"}),
        ("reward_bradley_terry", {"score_zero", "evaluation_limit"},
         {"sample_prompts", "sample_max_new_tokens", "step_sample_prompts", "shard"}),
    ],
)  # fmt: skip
def test_only_what_the_method_looks_at_is_offered(
    admin: Client, cast: Cast, launch: Launch, method: str, offered: set[str], left_out: set[str]
) -> None:
    shown = form_page(admin, cast, method=method)
    assert {name for name in offered | left_out if f'name="{name}"' in shown} == offered
    assert "Offline: " not in shown
    rewards = {"reward_sources": {"short": {"kind": "length"}}} if method == "grpo" else {}
    told = {name for name, _ in run_settings(launch(method, config=rewards))}
    assert not {name.replace("_", " ") for name in left_out} & told


def test_defaults_that_nobody_touched_follow_the_method(admin: Client, cast: Cast) -> None:
    data = form_data(form_page(admin, cast, method="dpo")) | {"max_steps": "7"}
    lora = form_data(form_page(admin, cast, **data | {"adapter": "lora"}))
    assert (lora["learning_rate"], lora["max_steps"]) == ("0.0001", "7")
    back = form_data(form_page(admin, cast, **lora | {"adapter": "full"}))
    assert back["learning_rate"] == data["learning_rate"]
    typed = form_data(form_page(admin, cast, **data | {"learning_rate": "3e-05", "method": "kto"}))
    assert typed["learning_rate"] == "3e-05"


def test_a_box_that_was_unticked_stays_so(admin: Client, cast: Cast) -> None:
    data = form_data(form_page(admin, cast, method="reward_soft_labels"))
    assert data["soft_labels"] == "on"
    kept = {name: value for name, value in data.items() if name != "soft_labels"}
    again = form_data(form_page(admin, cast, **kept | {"adapter": "lora"}))
    assert "soft_labels" not in again
    other = form_data(form_page(admin, cast, **kept | {"method": "ppo"}))
    assert other["method-whiten_advantages"] == "on"


def test_rewrites_alone_feed_a_method_of_pairs(
    admin: Client, cast: Cast, snapshot: Snapshot
) -> None:
    rows = snapshot.manifest["rows"]
    rows["demonstrations"] = {"overall": {"train": 4, "held_out": 2}}
    snapshot.save(update_fields=["manifest"])
    data = form_data(form_page(admin, cast, method="dpo"))
    assert "rewrites" not in data
    rows["pairs"] = {}
    snapshot.save(update_fields=["manifest"])
    shown = form_page(admin, cast, method="dpo")
    assert form_data(shown)["rewrites"] == "on"
    assert "4 to train on, 2 held out" in shown


def test_one_methods_beta_says_nothing_of_anothers(admin: Client, cast: Cast) -> None:
    data = form_data(form_page(admin, cast, method="dpo")) | {"method-beta": "0.3"}
    own = {one.name: one.default for one in describe_options(get_method("simpo").hyperparameters)}
    other = form_data(form_page(admin, cast, **data | {"method": "simpo"}))
    assert other["method-beta"] == str(own["beta"]) != "0.3"
    same = form_data(form_page(admin, cast, **data | {"adapter": "lora"}))
    assert same["method-beta"] == "0.3"


def test_a_method_brings_its_defaults_from_a_terminal_too(launch: Launch) -> None:
    for method in methods():
        if method.data == "pairs" and "learning_rate" in method.defaults:
            rate = method.defaults["learning_rate"]
            run = launch(method.name, config={"learning_rate": rate})
            assert run.config["learning_rate"] == rate


def test_an_estimate_stands_beside_the_form(admin: Client, cast: Cast) -> None:
    shown = form_page(admin, cast, base_model=TINY)
    assert "launch/estimate" not in shown
    assert reverse("training:launch-estimate", args=[cast.project.pk]) in shown
    given = form_data(shown) | {"base_model": TINY}
    first = estimate_of(admin, cast, **given)
    for words in ("of memory and", "Activations of a pass", "rule of thumb"):
        assert words in first
    assert estimate_of(admin, cast, **given | {"max_steps": "900", "epochs": "1000"}) != first


def test_an_estimate_of_a_sweep_knows_what_varies(
    cast: Cast, snapshot: Snapshot, admin: Client
) -> None:
    asked: dict[str, Any] = {
        "project": cast.project, "snapshot": snapshot, "method": "dpo", "criterion": "overall",
        "base_model": TINY,
    }  # fmt: skip
    short, long = (
        run_budget(**asked, config=checked_config(method="dpo", config={"batch_size": 1} | one))
        for one in ({"max_steps": 2}, {"max_steps": 2000})
    )
    wide = replace(short, memory=(Part("All", long.bytes + 2**31),))
    told = sweep_in_words({"wide": wide, "long": long})
    assert told.sentence == (
        f"About {size(wide.bytes)} of memory in the largest of 2 runs, and "
        f"{duration(short.seconds + long.seconds)} for all of them, one after the other."
    )
    given = form_data(form_page(admin, cast)) | {"base_model": TINY, "sweep_1": "epochs"}
    shown = estimate_of(admin, cast, **given | {"sweep_1_values": "1, 3"})
    few, many = map(int, re.findall(r"epochs \d, (\d+) step", shown))
    assert few < many
    refused = estimate_of(admin, cast, **given | {"sweep_1_values": "2, many"})
    assert "correct “Values 1” first" in refused
    assert "of memory" not in refused


def test_a_sweeps_estimate_reads_the_history_once_for_each_precision(
    admin: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "training.views.estimates.former_speeds",
        lambda device, dtype: asked.append((device, dtype)) or [],
    )
    given = form_data(form_page(admin, cast)) | {"base_model": TINY, "device": "cpu"}
    given |= {"sweep_1": "epochs", "sweep_1_values": "1, 2, 3"}
    assert "of 3 runs" in estimate_of(admin, cast, **given)
    assert asked == [("cpu", given["dtype"])]


def test_a_form_with_a_wrong_number_has_no_estimate(admin: Client, cast: Cast) -> None:
    """The number of before stood there as if it were that of what was typed."""
    given = form_data(form_page(admin, cast)) | {"base_model": TINY}
    wrong = {"learning_rate": "-1", "epochs": "0", "batch_size": "1.5"}
    shown = estimate_of(admin, cast, **given | wrong)
    assert "correct “Learning rate”, “Epochs” and “Batch size” first" in shown
    assert "of memory" not in shown
    assert "correct “Batch size” first" in estimate_of(admin, cast, **given | {"batch_size": "0"})
    sent = admin.post(reverse("training:launch", args=[cast.project.pk]), given | wrong)
    assert "correct “Learning rate”, “Epochs” and “Batch size” first" in sent.text
    built_again = form_page(admin, cast, **given | {"batch_size": "0"})
    assert "correct “Batch size” first" in built_again


def test_steps_that_come_to_nothing_in_a_short_run_are_told(admin: Client, cast: Cast) -> None:
    given = form_data(form_page(admin, cast)) | {"base_model": TINY, "batch_size": "1"}
    given |= {"epochs": "6", "gradient_accumulation": "4"}
    short = estimate_of(admin, cast, **given)
    assert "for 12 steps" in short
    assert "10 of 12 steps warm up" in short
    assert "no evaluation before the end" in short
    fitting = estimate_of(admin, cast, **given | {"warmup_steps": "5", "evaluate_every": "6"})
    assert "warm up" not in fitting
    assert "no evaluation" not in fitting
    last = estimate_of(admin, cast, **given | {"evaluate_every": "12"})
    assert "no evaluation before the end" in last


def test_an_estimate_of_a_model_that_is_not_offered(admin: Client, cast: Cast) -> None:
    given = form_data(form_page(admin, cast)) | {"base_model": "../../etc"}
    assert "is not offered here" in estimate_of(admin, cast, **given)


def test_an_estimate_warns_of_what_does_not_fit(
    admin: Client,
    cast: Cast,
    tiny_model_folder: Path,
    tmp_path: Path,
    settings: Any,
) -> None:
    huge = shutil.copytree(tiny_model_folder, tmp_path / "huge")
    config = json.loads((huge / "config.json").read_text()) | {"num_hidden_layers": 10**9}
    (huge / "config.json").write_text(json.dumps(config))
    settings.MODEL_DIRS = [tmp_path]
    given = form_data(form_page(admin, cast)) | {"base_model": "huge"}
    assert "more than fits" in estimate_of(admin, cast, **given)


def done(run: TrainingRun, seconds: list[float]) -> TrainingRun:
    """The run as if it had taken such steps."""
    Job.objects.filter(pk=run.job_id).update(state="succeeded", finished_at=timezone.now())
    MetricPoint.objects.bulk_create(
        MetricPoint(run=run, step=step, name="seconds_per_step", value=value)
        for step, value in enumerate(seconds, start=1)
    )
    return run


def test_former_runs_tell_the_speed(admin: Client, cast: Cast, launch: Launch) -> None:
    done(launch(), [2.0] * 11)
    given = form_data(form_page(admin, cast)) | {"base_model": TINY, "device": "cpu"}
    shown, _, _ = estimate_of(admin, cast, **given).partition("<details>")
    assert "measured on 1 former run here" in shown
    assert "three times as long" in shown
    done(launch(), [2.0] * 11)
    shown, _, _ = estimate_of(admin, cast, **given).partition("<details>")
    assert "measured on 2 former runs here" in shown
    assert "three times" not in shown


def test_a_run_of_few_steps_says_nothing_of_the_speed(launch: Launch) -> None:
    """Six steps on a busy machine foretold three times the time of the rule of thumb."""
    long = done(launch(), [90.0] + [2.0] * 10)
    for _ in range(FORMER_RUNS):
        done(launch(), [90.0] * FEWEST_STEPS)
    (speed,) = former_speeds(long.config["device"], long.config["dtype"])
    assert speed.seconds == 2.0


def test_a_tiny_runs_speed_says_nothing_of_a_large_one(launch: Launch, cast: Cast) -> None:
    """Its steps take the time of their overhead: hours were foretold for minutes."""
    run = done(launch(), [2.0] * 11)
    asked: dict[str, Any] = {
        "project": run.project, "snapshot": run.snapshot, "method": "dpo", "criterion": "overall",
        "base_model": TINY,
    }  # fmt: skip
    alike = run_budget(config=run.config, **asked)
    larger = run_budget(config=run.config | {"batch_size": 256}, **asked)
    assert "measured" in alike.machine.basis
    assert "rule of thumb" in larger.machine.basis


def test_a_method_of_rewards_says_what_it_lacks(admin: Client, cast: Cast) -> None:
    given = form_data(form_page(admin, cast, method="ppo")) | {"base_model": TINY}
    reply = admin.post(reverse("training:launch", args=[cast.project.pk]), given)
    assert reply.status_code == 422
    assert "choose what gives them." in reply.text
    assert reply.text.count("There is none yet: train one") == 1
    assert not TrainingRun.objects.exists()


def test_what_a_service_refuses_stands_at_its_field(admin: Client, cast: Cast) -> None:
    given = form_data(form_page(admin, cast)) | {"base_model": TINY, "name": "kept words"}
    given |= {"max_prompt_length": "900", "max_length": "300"}
    response = admin.post(reverse("training:launch", args=[cast.project.pk]), given)
    shown = response.content.decode()
    assert response.status_code == 422
    assert "kept words" in shown
    field = shown.index('name="max_prompt_length"')
    assert "leaves no room for a completion" in shown[field : field + 600]
    assert not TrainingRun.objects.exists()


@pytest.mark.parametrize(("who", "status"), [("mallory", 404), ("rosa", 403), ("mary", 403)])
def test_who_may_ask(client: Client, cast: Cast, who: str, status: int) -> None:
    client.force_login(getattr(cast, who))
    url = reverse("training:launch-estimate", args=[cast.project.pk])
    assert client.get(url).status_code == status


def test_the_api_estimates_too(cast: Cast, snapshot: Snapshot) -> None:
    given: dict[str, Any] = {
        "snapshot": snapshot.pk, "method": "dpo", "criterion": "overall", "base_model": TINY,
    }  # fmt: skip
    path = f"projects/{cast.project.pk}/runs/estimate"
    answer = Api(cast.ada).post(path, given)
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert found["bytes"] == pytest.approx(sum(part["amount"] for part in found["memory"]))
    assert found["steps"] == 1
    assert Api(cast.ada).post(path, given | {"method": "nope"}).status_code == 400
    for sources in ({"a": "b"}, {"a": {"kind": "reward_model", "folders": 5}}):
        config = {"reward_sources": sources}
        assert Api(cast.ada).post(path, given | {"config": config}).status_code == 400
    assert Api(cast.mary).post(path, given).status_code == 403
    assert not TrainingRun.objects.exists()


def test_a_length_beyond_the_models_positions_is_told_before_the_launch(
    admin: Client, cast: Cast, snapshot: Snapshot, short_model: str
) -> None:
    given = form_data(form_page(admin, cast)) | {"base_model": short_model}
    words = "short has only 256 positions"
    assert words in estimate_of(admin, cast, **given)
    reply = admin.post(reverse("training:launch", args=[cast.project.pk]), given)
    assert reply.status_code == 422
    field = reply.text.index('name="max_length"')
    assert words in reply.text[field : field + 600]
    asked: dict[str, Any] = {
        "snapshot": snapshot.pk, "method": "dpo", "criterion": "overall", "base_model": short_model,
    }  # fmt: skip
    path = f"projects/{cast.project.pk}/runs"
    for end in ("", "/estimate"):
        refused = Api(cast.ada).post(f"{path}{end}", asked | {"config": {"max_length": 300}})
        assert refused.status_code == 400
        assert words in refused.content.decode()
    assert Api(cast.ada).post(path, asked).json()["config"]["max_length"] == 256
