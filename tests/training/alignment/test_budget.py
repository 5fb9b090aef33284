"""What a run is said to need, against counts of real models and the memory of real runs."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from tests.training.alignment import tiny
from training.alignment import budget
from training.alignment.budget import GIBI, DataSize, Machine, ModelSize, Speed
from training.alignment.config import TrainingConfig
from training.alignment.methods import get_method

DATA = DataSize(examples=64, held_out=16, prompt=60, completion=40, longest=120)
MACHINE = Machine(memory=8 * GIBI, speed=1e10, bandwidth=1e10, basis="a test")
SMALL = ModelSize(layers=4, hidden=256, intermediate=768, vocabulary=8192, key_value=128, tied=True)


def config(**changes: Any) -> TrainingConfig:
    values = {"method": "dpo", "base_model": "-", "train_file": "-", "output_dir": "-"}
    return TrainingConfig.from_dict(values | changes)


def llama(**changes: Any) -> LlamaConfig:
    sizes = {
        "vocab_size": 8192, "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True,
        "max_position_embeddings": 1024,
    }  # fmt: skip
    return LlamaConfig(**sizes | changes)


@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_those_of_the_real_model(tied: bool) -> None:
    settings = llama(tie_word_embeddings=tied)
    real = sum(weight.numel() for weight in LlamaForCausalLM(settings).parameters())
    assert ModelSize.from_config(settings.to_dict()).parameters == pytest.approx(real, rel=1e-3)


def test_a_model_that_names_its_sizes_otherwise() -> None:
    settings = GPT2Config(vocab_size=4096, n_embd=128, n_layer=3, n_head=4)
    real = sum(weight.numel() for weight in GPT2LMHeadModel(settings).transformer.h.parameters())
    found = ModelSize.from_config(settings.to_dict()).block_parameters
    assert found == pytest.approx(real, rel=0.02)


def test_an_adapter_is_as_large_as_the_real_one() -> None:
    from training.alignment.models import add_lora

    model = add_lora(LlamaForCausalLM(llama()), rank=8, alpha=16.0, dropout=0.0)
    real = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert SMALL.lora_parameters(8) == real


def test_a_config_that_tells_too_little() -> None:
    with pytest.raises(ValueError, match="names no hidden_size"):
        ModelSize.from_config({"model_type": "other"})


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 8},
        {"batch_size": 8, "adapter": "lora", "dtype": "bfloat16"},
    ],
    ids=["full", "lora"],
)
def test_memory_is_near_what_a_real_run_takes(
    tmp_path: Path, environment: dict[str, str], changes: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    LlamaForCausalLM(llama()).save_pretrained(tmp_path / "model")
    tiny.byte_tokenizer().save_pretrained(tmp_path / "model")
    length = 250
    rows = [
        {"id": str(number), "prompt": tiny.user(f"{number}" + "x" * length),
         "chosen": tiny.assistant("y" * length), "rejected": tiny.assistant("n" * length)}
        for number in range(16)
    ]  # fmt: skip
    asked = config(
        base_model=str(tmp_path / "model"), train_file=str(tiny.write_lines(tmp_path / "t", rows)),
        output_dir=str(tmp_path / "run"), device="cpu", max_steps=1, gradient_accumulation=1,
        max_length=600, max_prompt_length=300, **changes,
    )  # fmt: skip
    measured = peak_memory(asked, tmp_path, environment)
    data = DataSize(16, 0, length + 20, length + 2, 2 * length + 25)
    found = budget.estimate(asked, get_method("dpo"), SMALL, data, MACHINE)
    assert found.bytes == pytest.approx(measured, rel=0.5), found.memory


def peak_memory(asked: TrainingConfig, folder: Path, environment: dict[str, str]) -> int:
    (folder / "given.json").write_text(asked.to_json())
    arguments = ["-m", "training.alignment.train", "--config", str(folder / "given.json")]
    process = subprocess.Popen([sys.executable, *arguments], env=environment, cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    assert status == 0
    return usage.ru_maxrss * 1024


def test_parts_add_up_and_warn() -> None:
    found = budget.estimate(config(), get_method("dpo"), SMALL, DATA, MACHINE)
    assert found.bytes == sum(part.amount for part in found.memory)
    assert found.seconds == sum(part.amount for part in found.time)
    assert found.steps == 4
    assert not found.is_too_large
    crowded = replace(MACHINE, memory=GIBI // 2)
    assert budget.estimate(config(), get_method("dpo"), SMALL, DATA, crowded).is_too_large


def test_worked_figures() -> None:
    """One step of 16 pairs: a prompt of 60 tokens and two answers of 40, three passes of two
    operations a weight."""
    method = get_method("dpo")
    expected = 3 * SMALL.operations * 16 * (60 + 2 * 40)
    assert budget.step_operations(config(), method, SMALL, DATA) == expected
    lora = budget.step_operations(config(adapter="lora"), method, SMALL, DATA)
    assert lora == pytest.approx(expected * 2 / 3)
    parts = {part.name: part.amount for part in
             budget.estimate(config(), method, SMALL, DATA, MACHINE).memory}  # fmt: skip
    assert parts["Weights"] == 4 * SMALL.parameters
    assert parts["Optimiser"] == 2 * parts["Gradients"] == 8 * SMALL.parameters


@pytest.mark.parametrize(
    ("changes", "part", "less"),
    [
        ({"gradient_checkpointing": True}, "Activations of a pass", True),
        ({"adapter": "lora"}, "Gradients", True),
        ({"batch_size": 8}, "Activations of a pass", False),
    ],
)
def test_what_costs_less_and_what_more(changes: dict[str, Any], part: str, less: bool) -> None:
    def amount(asked: TrainingConfig) -> float:
        found = budget.estimate(asked, get_method("dpo"), SMALL, DATA, MACHINE)
        return {one.name: one.amount for one in found.memory}[part]

    assert (amount(config(**changes)) < amount(config())) is less


def test_a_pass_is_never_larger_than_its_limit() -> None:
    def activations(machine: Machine = MACHINE, **changes: Any) -> float:
        asked = config(batch_size=64, **changes)
        found = budget.estimate(asked, get_method("dpo"), SMALL, DATA, machine)
        return {one.name: one.amount for one in found.memory}["Activations of a pass"]

    whole = activations(replace(MACHINE, on_cpu=False))
    assert activations() == pytest.approx(whole * 2048 / (64 * (60 + 2 * 60)))
    assert activations(pass_tokens=1) == pytest.approx(whole / 64)


def test_former_runs_count_more_than_a_rule() -> None:
    found = budget.measured(MACHINE, [Speed(1e9, 1.0), Speed(4e9, 1.0), Speed(9e9, 3.0)])
    assert found.speed == 3e9
    assert "3 former runs" in found.basis
    assert budget.measured(MACHINE, []) == MACHINE
    assert budget.measured(MACHINE, [Speed(1e9, 0.0)]) == MACHINE


@pytest.mark.parametrize("gpu", [True, False])
def test_a_rule_of_thumb_says_that_it_is_one(gpu: bool) -> None:
    found = budget.rule_of_thumb(memory=GIBI, cores=2, gpu=gpu, dtype="bfloat16")
    assert "rule of thumb" in found.basis
    assert found.speed == (1e14 if gpu else 4e10)
