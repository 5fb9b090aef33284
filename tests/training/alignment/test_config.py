import json
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from training.alignment.config import TrainingConfig
from training.alignment.methods import get_method, methods, parse_hyperparameters
from training.alignment.options import OptionError, describe_options
from training.alignment.rewards.settings import LengthOptions, RewardModelOptions
from training.alignment.rollouts.settings import ServerOptions
from training.alignment.sample import SampleConfig

REQUIRED = {"method": "dpo", "base_model": "m", "train_file": "t", "output_dir": "o"}


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.name)
def test_an_entry_is_complete_and_its_loss_resolves(method):
    assert method.data in {"pairs", "binary", "lists", "demonstrations", "prompts"}
    assert method.url.startswith("https://")
    assert all((method.paper, method.family, method.formula, method.when, method.evidence))
    assert method.pitfalls
    assert callable(method.load_loss())
    defaults = parse_hyperparameters(method, {})
    for item in describe_options(type(defaults)):
        assert item.help
        assert item.min is None or item.min <= item.default <= item.max


@pytest.mark.parametrize(
    ("values", "name", "problem"),
    [
        ({"betta": 0.1}, "betta", "unknown option; did you mean beta"),
        ({"beta": "0.1"}, "beta", "not a number"),
        ({"beta": True}, "beta", "not a number"),
        ({"beta": float("nan")}, "beta", "not a finite number"),
        ({"beta": 0}, "beta", "below the smallest allowed value"),
        ({"beta": 1e9}, "beta", "above the largest allowed value"),
        ({"beta": 10**400}, "beta", "too large for a number"),
    ],
)
def test_a_wrong_hyperparameter_is_named(values, name, problem):
    with pytest.raises(OptionError, match=problem) as caught:
        parse_hyperparameters(get_method("dpo"), values)
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rte": 1e-6}, r"learning_rte: unknown option; did you mean learning_rate\?"),
        ({"zzz": 1}, "zzz: unknown option; the known ones are method, base_model"),
        ({"beta": 0.3}, r'beta: belongs into hyperparameters: {"hyperparameters": {"beta": 0.3}}'),
    ],
)
def test_a_wrong_setting_says_what_was_meant(values, message):
    with pytest.raises(OptionError, match=message):
        TrainingConfig.from_dict({**REQUIRED, **values})


@pytest.mark.parametrize(("text", "problem"), [("{", "not valid JSON"), ("[]", "a JSON object")])
def test_what_is_no_configuration_says_so(text, problem):
    with pytest.raises(OptionError, match=f"config: .*{problem}"):
        TrainingConfig.from_json(text)


def test_a_whole_number_is_a_number():
    assert parse_hyperparameters(get_method("dpo"), {"beta": 1}).beta == 1.0


def test_an_unknown_method_names_the_known_ones():
    with pytest.raises(OptionError, match=r"'dpoo' is not a training method.*dpo, cdpo"):
        get_method("dpoo")


def test_a_configuration_survives_json():
    config = TrainingConfig.from_dict(
        {**REQUIRED, "hyperparameters": {"beta": 0.2}, "max_steps": 3}
    )
    assert TrainingConfig.from_json(config.to_json()) == config
    assert set(json.loads(config.to_json())) == {item.name for item in fields(TrainingConfig)}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"learning_rat": 1}, "learning_rat"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
        ({"device": "tpu"}, "device"),
        ({"hyperparameters": {"gamma": 1}}, "gamma"),
        ({"hyperparameters": []}, "hyperparameters"),
        ({"max_prompt_length": 1024}, "max_prompt_length"),
        ({"method": "dpoo"}, "method"),
        ({"seed": None}, "seed"),
        ({"method": "kto", "soft_labels": True}, "soft_labels"),
        ({"method": "cdpo", "soft_labels": True}, "soft_labels"),
        ({"method": "beta_dpo", "soft_labels": True}, "soft_labels"),
    ],
)
def test_a_wrong_setting_is_named(changes, name):
    with pytest.raises(OptionError) as caught:
        TrainingConfig.from_dict({**REQUIRED, **changes})
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("method", "changes", "unused"),
    [
        ("ppo", {"gradient_accumulation": 2, "batch_size": 2}, ("gradient_accumulation",)),
        (
            "grpo",
            {"pass_tokens": 9, "evaluation_limit": 5, "step_sample_prompts": 1, "kl_budget": 3.0},
            ("evaluation_limit", "pass_tokens", "step_sample_prompts"),
        ),
        ("dpo", {"gradient_accumulation": 2, "kl_budget": 3.0}, ("kl_budget",)),
        ("reward_bradley_terry", {"sample_prompts": 3, "epochs": 2.0}, ("sample_prompts",)),
        ("reward_bradley_terry", {}, ()),
        ("reinforce", {}, ()),
        ("f_dpo", {"hyperparameters": {"alpha": 0.3}}, ("alpha",)),
        ("f_dpo", {"hyperparameters": {"alpha": 0.3, "divergence": "alpha"}}, ()),
        ("cpo", {"hyperparameters": {"nll": "token_mean", "nll_weight": 0.0}}, ("nll",)),
        ("rloo", {"hyperparameters": {"clip_range": 0.1}}, ("clip_range",)),
        ("rloo", {"hyperparameters": {"clip_range": 0.1, "objective": "sequence_clip"}}, ()),
        (
            "ppo",
            {"hyperparameters": {"kl_target": 3.0, "kl_horizon": 9.0}, "gradient_accumulation": 2},
            ("gradient_accumulation", "kl_horizon", "kl_target"),
        ),
        (
            "ppo",
            {"hyperparameters": {"kl_target": 3.0, "kl_horizon": 9, "kl_controller": "schulman"}},
            ("kl_horizon",),
        ),
        (
            "ppo_ptx",
            {"hyperparameters": {"ptx_examples": 1, "ptx_coefficient": 0}},
            ("ptx_examples",),
        ),
    ],
)
def test_what_was_set_and_is_not_looked_at_is_told(method, changes, unused):
    config = TrainingConfig.from_dict({**REQUIRED, "method": method, **changes})
    assert config.unused == unused


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("adapter", "LoRA"),
        ("dtype", "float16"),
        ("schedule", "Linear"),
        ("truncation_side", "middle"),
        ("batch_size", 0),
        ("batch_size", 2.0),
        ("output_dir", Path("run")),
        ("seed", None),
    ],
)
def test_the_constructor_and_replace_check_as_the_file_does(name, value):
    """An unknown adapter would train all weights, an unknown precision compute in float32."""
    with pytest.raises(OptionError) as caught:
        TrainingConfig(**REQUIRED | {name: value})
    assert caught.value.name == name
    with pytest.raises(OptionError) as caught:
        replace(TrainingConfig(**REQUIRED), **{name: value})
    assert caught.value.name == name


def test_a_whole_number_becomes_a_number_however_a_configuration_is_built():
    built = TrainingConfig(**REQUIRED, epochs=2)
    assert isinstance(built.epochs, float)
    assert built.to_json() == TrainingConfig.from_dict({**REQUIRED, "epochs": 2}).to_json()


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.name)
def test_hyperparameters_are_checked_however_they_are_built(method):
    for item in describe_options(method.hyperparameters):
        with pytest.raises(OptionError) as caught:
            method.hyperparameters(**{item.name: object()})
        assert caught.value.name == item.name


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: LengthOptions(kind="length", free=1, limit=0), "limit"),
        (lambda: RewardModelOptions(kind="reward_model", folders="one"), "folders"),
        (lambda: ServerOptions(kind="serve", url=3, model="m", folder="f"), "url"),
        (lambda: SampleConfig("m", "p", "o", top_p=2.0), "top_p"),
    ],
)
def test_options_of_sources_are_checked_however_they_are_built(build, name):
    with pytest.raises(OptionError) as caught:
        build()
    assert caught.value.name == name


def test_a_path_may_be_a_text(tmp_path):
    config = TrainingConfig(**REQUIRED)
    (tmp_path / "run.json").write_text(config.to_json(), "utf-8")
    assert TrainingConfig.load(str(tmp_path / "run.json")) == config


def test_a_missing_setting_is_named():
    with pytest.raises(OptionError, match="train_file: is required"):
        TrainingConfig.from_dict({"method": "dpo", "base_model": "m", "output_dir": "o"})


def test_the_form_learns_types_defaults_and_choices():
    items = {item.name: item for item in describe_options(TrainingConfig)}
    assert all(item.help for item in items.values())
    assert items["batch_size"].type is int
    assert items["max_steps"].nullable
    assert items["max_steps"].type is int
    assert items["device"].choices == ("auto", "cpu", "cuda")
    assert items["base_model"].required
    assert items["hyperparameters"].default == {}


def test_the_web_process_reads_the_registry_without_torch():
    code = (
        "import sys, training.alignment.methods, training.alignment.config;"
        "print([m for m in ('torch', 'transformers', 'numpy', 'django') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_what_a_run_does_unlike_its_name_is_in_the_help():
    """A limit that lags, and settings that an adapter which goes on has of its own."""
    found = {item.name: item.help for item in describe_options(TrainingConfig)}
    assert "the one after the crossing is still made" in found["step_kl_limit"]
    for name in ("lora_rank", "lora_alpha"):
        assert "A start adapter that is trained on keeps its own" in found[name]


def test_the_help_of_the_learning_rate_contradicts_no_methods_default():
    (rate,) = (one for one in describe_options(TrainingConfig) if one.name == "learning_rate")
    full, _, _ = rate.help.partition("LoRA")
    defaults = {method.defaults.get("learning_rate", rate.default) for method in methods()}
    assert len(defaults) > 1
    assert not re.search(r"\de-\d", full)
