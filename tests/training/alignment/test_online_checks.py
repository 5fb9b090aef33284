"""What stops an online run: a sampler that is not the policy, a reference that is not its start."""

import copy
import math
from pathlib import Path

import pytest
import torch

from tests.training.alignment import tiny
from tests.training.alignment.conftest import read_metrics
from tests.training.alignment.online_toys import Reward, share_of, write_prompts
from training.alignment import online_run, policies
from training.alignment.checkpoints import latest_checkpoint
from training.alignment.failures import TrainingError
from training.alignment.log_probs import CompletionScorer
from training.alignment.offline import make_accelerator
from training.alignment.online import train
from training.alignment.online_checks import check_first_update, sampler_error
from training.alignment.online_run import Sources
from training.alignment.rewards.composed import Composed
from training.alignment.rollouts.server import ServeSource
from training.alignment.rollouts.settings import ServerOptions
from training.alignment.rollouts.transformers import TransformersSource
from training.alignment.supervision import StopRequest

VOWELS = Reward("vowels", share_of("aeiou"))


@pytest.fixture
def config(make_config, tmp_path):
    def make(**changes):
        values = {
            "method": "grpo", "train_file": str(write_prompts(tmp_path / "prompts.jsonl", 8)),
            "held_out_file": None, "max_steps": 1, "epochs": 1000.0, "learning_rate": 1e-2,
            "warmup_steps": 0, "batch_size": 16, "prompts_per_step": 4, "samples_per_prompt": 4,
            "max_new_tokens": 6, "max_prompt_length": 40, "max_length": 64,
        }  # fmt: skip
        return make_config(**values | changes)

    return make


class Fixed(TransformersSource):
    """Samples from the first weights that it was given, whatever it is told to load."""

    def update(self, model):
        if model is not None and self._model is None:
            super().update(copy.deepcopy(model))


def go(config, model=None, kind=Fixed):
    rollouts = kind(model, tiny.byte_tokenizer())
    given = Sources(rollouts, Composed([VOWELS], [1.0]))
    return train(config, make_accelerator(torch.device("cpu")), StopRequest(), given)


def steps(config):
    return [line["metrics"] for line in read_metrics(config)]


def test_a_sampler_of_another_model_stops_the_run_before_it_learns(config):
    with pytest.raises(TrainingError, match=r"After step 0 the sampler's .* from another model"):
        go(config(), tiny.llama(seed=3))
    (only,) = steps(config())
    assert only["sampler_difference"] > 0.2
    assert "loss" not in only


def test_a_sampler_that_keeps_old_weights_stops_the_run_which_goes_on_once_mended(config):
    made = config(max_steps=12)
    with pytest.raises(TrainingError, match="weights of an earlier step") as caught:
        go(made)
    done = len(steps(made)) - 1
    assert f"After step {done} " in str(caught.value)
    assert 0 < done < 12
    found = latest_checkpoint(Path(made.output_dir) / "checkpoints")
    assert found is not None
    assert found.step == done
    assert go(made, kind=TransformersSource)
    assert all(values["sampler_difference"] < 1e-5 for values in steps(made)[done:])


SERVER = ServeSource(
    ServerOptions(kind="serve", url="http://127.0.0.1:9", model="m", folder="f"), None
)


@pytest.mark.parametrize(
    ("changes", "source", "difference", "tokens", "stops"),
    [
        ({}, None, 1e-4, 500, False),
        ({}, None, 0.1, 500, True),
        ({}, SERVER, 0.1, 500, False),
        ({}, SERVER, 0.5, 500, True),
        ({"dtype": "bfloat16"}, None, 0.03, 500, False),
        ({"dtype": "bfloat16"}, None, 0.5, 500, True),
        ({"dtype": "bfloat16"}, None, 0.5, 1, False),
        ({"dtype": "bfloat16", "temperature": 0.1}, None, 0.5, 500, False),
        ({}, None, math.inf, 500, True),
        ({}, None, math.nan, 500, True),
    ],
)
def test_a_sampler_may_differ_by_what_rounding_explains(
    config, changes, source, difference, tokens, stops
):
    source = source or TransformersSource(None, tiny.byte_tokenizer())
    error = sampler_error(config(**changes), source, difference=difference, tokens=tokens, step=3)
    assert (error is not None) == stops


def test_a_reference_that_is_not_what_training_starts_from_stops_the_run(config, monkeypatch):
    def broken(*_, **__):
        return CompletionScorer(tiny.llama(seed=3))

    monkeypatch.setattr(online_run, "load_scorer", broken)
    with pytest.raises(TrainingError, match="policy and reference are the same model, but their"):
        go(config())
    assert not (Path(config().output_dir) / "checkpoints").exists()


def test_another_reference_may_say_otherwise(config, tmp_path):
    other = tiny.write_model(tmp_path / "other", seed=3)
    made = config(reference_model=str(other))
    assert go(made)
    assert steps(made)[0]["kl_k3"] > 0.1


@pytest.mark.parametrize("method", ["grpo", "reinforce"])
def test_dropout_that_is_left_on_stops_the_run_at_the_first_update(config, monkeypatch, method):
    def leave_on(model):
        for part in model.modules():
            if hasattr(part, "attention_dropout"):
                part.attention_dropout = 0.5

    monkeypatch.setattr(policies, "disable_dropout", leave_on)
    with pytest.raises(TrainingError, match="At the first update the policy is the one that"):
        go(config(method=method), kind=TransformersSource)
    assert not (Path(config().output_dir) / "checkpoints").exists()


LOW, CLIP = {"dtype": "bfloat16"}, {"clip_range": 0.2}
WHOLE = {**CLIP, "objective": "sequence_clip"}


@pytest.mark.parametrize(
    ("changes", "hyperparameters", "kl", "ratio", "clipped", "named"),
    [
        ({}, CLIP, 1e-9, 1.00001, 0.0, None),
        ({}, CLIP, 1e-9, 1.01, 0.0, "ratio must be 1, but it is 1.01"),
        ({}, CLIP, 1e-9, 1.0, 0.01, "clip_fraction must be 0, but it is 0.01"),
        ({}, CLIP, 1e-4, 1.0, 0.0, "kl_old"),
        ({}, CLIP, math.nan, 1.0, 0.0, "kl_old"),
        ({}, {"clip_low": 1e-4, "clip_high": 0.2}, 1e-9, 1.0, 0.4, None),
        (LOW, CLIP, 1e-3, 1.03, 0.02, None),
        (LOW, CLIP, 1e-3, 1.2, 0.02, "ratio"),
        (LOW, WHOLE, 1e-3, 1.2, 0.5, None),
        (LOW, WHOLE, 1e-3, 1.3, 0.1, "ratio"),
        ({"temperature": 0.1}, CLIP, 1e-5, 1.005, 0.0, None),
        ({"adapter": "lora", "lora_dropout": 0.1}, CLIP, 1.0, 2.0, 0.5, None),
    ],
)
def test_the_first_update_may_be_off_by_what_rounding_explains(
    config, changes, hyperparameters, kl, ratio, clipped, named
):
    figures = {"kl_old": kl, "ratio": ratio, "clip_fraction": clipped, "loss": 3.0}
    if named is None:
        check_first_update(config(**changes), hyperparameters, figures)
    else:
        with pytest.raises(TrainingError, match=named):
            check_first_update(config(**changes), hyperparameters, figures)
