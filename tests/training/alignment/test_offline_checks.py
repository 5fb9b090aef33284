"""Without a reference a run is held to the values of a plain pass before its first step."""

from pathlib import Path

import pytest
import torch

from tests.training.alignment import tiny
from training.alignment import offline, policies
from training.alignment.failures import TrainingError
from training.alignment.methods import methods
from training.alignment.offline import make_accelerator, train
from training.alignment.packing import pack
from training.alignment.supervision import StopRequest

METHODS = [one.name for one in methods() if one.loop == "offline" and not one.needs_reference]
every_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture
def go(make_config):
    def go(**changes):
        config = make_config(**{"max_steps": 1, "held_out_file": None} | changes)
        assert train(config, make_accelerator(torch.device("cpu")), StopRequest())
        return config

    return go


@every_method
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_training_starts_with_the_values_of_a_plain_pass(go, method, dtype):
    go(method=method, dtype=dtype)


@pytest.mark.parametrize("method", ["sft", "reward_bradley_terry"])
def test_so_does_that_of_an_adapter_on_a_rounded_base(go, method):
    go(method=method, dtype="bfloat16", adapter="lora")


def test_so_does_a_run_with_another_reference(go, tmp_path, monkeypatch):
    checked = []
    monkeypatch.setattr(offline, "check_plain", lambda *asked: checked.append(asked))
    go(method="dpo")
    assert not checked
    go(method="dpo", reference_model=str(tiny.write_model(tmp_path / "other", seed=7)),
       output_dir=str(tmp_path / "second"))  # fmt: skip
    assert len(checked) == 1


def test_prompts_that_are_learned_too_are_checked(go):
    go(method="orpo", hyperparameters={"likelihood": "text"})


@pytest.mark.parametrize(
    ("method", "dtype"), [*((name, "float32") for name in METHODS), ("sft", "bfloat16")]
)
def test_a_row_that_is_read_at_the_wrong_places_is_caught(go, monkeypatch, method, dtype):
    def wrong(groups, device):
        batch = pack(groups, device)
        places = batch.packing.predictors.roll(1), batch.packing.ends - 1
        return batch._replace(packing=batch.packing._replace(predictors=places[0], ends=places[1]))

    monkeypatch.setattr("training.alignment.scoring.pack", wrong)
    with pytest.raises(TrainingError, match=r"Before the first step the .* differ by"):
        go(method=method, dtype=dtype)


@pytest.mark.parametrize("method", ["sft", "orpo", "reward_bradley_terry"])
def test_dropout_that_is_left_on_is_caught(go, monkeypatch, method):
    def leave_on(model):
        for part in model.modules():
            if hasattr(part, "attention_dropout"):
                part.attention_dropout = 0.5

    monkeypatch.setattr(policies, "disable_dropout", leave_on)
    with pytest.raises(TrainingError, match=r"Before the first step the .* differ by"):
        go(method=method)


def test_an_adapter_that_goes_on_may_have_dropout(go, tmp_path):
    settings = {"adapter": "lora", "lora_rank": 4, "learning_rate": 1e-1}
    earlier = go(method="sft", **settings, output_dir=str(tmp_path / "sft"))
    folder = Path(earlier.output_dir) / "adapter"
    go(method="simpo", **settings, start_adapter=str(folder), lora_dropout=0.3)
