"""What a run is said to need, against counts of real models and the memory of real runs."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
)

from tests.training.alignment import tiny
from training.alignment import budget
from training.alignment.budget import GIBI, Budget, Speed
from training.alignment.config import TrainingConfig
from training.alignment.methods import get_method
from training.alignment.sizes import DataSize, Machine, ModelSize, RewardModel

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


def test_memory_of_a_run_that_samples_is_near_what_a_real_one_takes(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """The snapshot's answers are short, the sampled ones long; policy and critic learn together."""
    torch.manual_seed(0)
    policy, reward = tmp_path / "policy", tmp_path / "reward"
    LlamaForCausalLM(llama()).save_pretrained(policy)
    LlamaForSequenceClassification(llama(num_labels=1)).save_pretrained(reward)
    for folder in (policy, reward):
        tiny.byte_tokenizer().save_pretrained(folder)
    length, answer = 100, 250
    rows = [{"prompt": tiny.user(f"{number}" + "x" * length)} for number in range(4)]
    asked = config(
        method="ppo", base_model=str(policy), output_dir=str(tmp_path / "run"), device="cpu",
        train_file=str(tiny.write_lines(tmp_path / "t", rows)), max_steps=1, batch_size=8,
        prompts_per_step=4, samples_per_prompt=2, max_new_tokens=answer, max_length=450,
        max_prompt_length=200, hyperparameters={"epochs_per_batch": 1},
        reward_sources={"reward": {"kind": "reward_model", "folders": [str(reward)]}},
    )  # fmt: skip
    measured = peak_memory(asked, tmp_path, environment)
    data = DataSize(4, 0, length + 20, 8, length + 30, sequences=1)
    found = budget.estimate(asked, get_method("ppo"), SMALL, data, MACHINE, [RewardModel(SMALL)])
    assert found.bytes == pytest.approx(measured, rel=0.35), found.memory


# It tells its own peak: getrusage counts for a new process what the one that started it held.
TRAINS = """
import sys
from pathlib import Path
from training.alignment.train import main
failed = main()
Path("peak").write_text(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
sys.exit(failed)
"""


def peak_memory(asked: TrainingConfig, folder: Path, environment: dict[str, str]) -> int:
    (folder / "given.json").write_text(asked.to_json())
    command = [sys.executable, "-c", TRAINS, "--config", str(folder / "given.json")]
    subprocess.run(command, env=environment, cwd=folder, check=True)
    return 1024 * int((folder / "peak").read_text())


def test_parts_add_up_and_warn() -> None:
    found = budget.estimate(config(), get_method("dpo"), SMALL, DATA, MACHINE)
    assert found.bytes == sum(part.amount for part in found.memory)
    assert found.seconds == sum(part.amount for part in found.time)
    assert found.steps == 4
    assert not found.is_too_large
    crowded = replace(MACHINE, memory=GIBI // 2)
    assert budget.estimate(config(), get_method("dpo"), SMALL, DATA, crowded).is_too_large


def test_a_half_of_the_data_is_half_of_the_steps() -> None:
    found = budget.estimate(config(data_half="first"), get_method("dpo"), SMALL, DATA, MACHINE)
    assert found.steps == 2
    online = budget.estimate(config(method="ppo", data_half="first"), get_method("ppo"), SMALL,
                             DATA, MACHINE)  # fmt: skip
    assert online == budget.estimate(config(method="ppo"), get_method("ppo"), SMALL, DATA, MACHINE)


@pytest.mark.parametrize(
    ("changes", "slower"),
    [
        ({"on_cpu": True}, 1), ({"on_cpu": True, "former_runs": 2}, 2), ({"on_cpu": False}, 5),
    ],
)  # fmt: skip
def test_evaluations_of_a_run_in_bfloat16_go_at_the_pace_of_float32(
    changes: dict[str, Any], slower: int
) -> None:
    machine = replace(MACHINE, **changes)

    def last(dtype: str) -> float:
        asked = config(dtype=dtype, evaluation_limit=1)
        found = budget.estimate(asked, get_method("dpo"), SMALL, replace(DATA, held_out=10**6),
                                machine)  # fmt: skip
        return next(part.amount for part in found.time if part.name == "Evaluating")

    assert last("bfloat16") == pytest.approx(slower * last("float32"), rel=1e-3)


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


def online(name: str, **changes: Any) -> Budget:
    """Of 8 prompts with 4 answers of 128 tokens to each, from a snapshot of short answers."""
    asked = config(method=name, samples_per_prompt=4, **changes)
    rewards = [RewardModel(SMALL), RewardModel(SMALL), RewardModel(SMALL, width=2)]
    return budget.estimate(asked, get_method(name), SMALL, PROMPTS, MACHINE, rewards)


PROMPTS = replace(DATA, sequences=1)
KEPT = SMALL.layers * 4 * (12 * 256 + 2 * 128 + 4 * 768)


@pytest.mark.parametrize(
    ("name", "changes", "tokens"),
    [
        ("grpo", {}, 80 + 4 * 128),
        ("grpo", {"max_new_tokens": 256}, 80 + 4 * 256),
        ("grpo", {"batch_size": 8}, 2 * 80 + 8 * 128),
        ("ppo", {}, 2 * (80 + 4 * 128)),
        ("ppo_ptx", {}, 2 * (80 + 4 * 128)),
        ("ppo_ptx", {"max_new_tokens": 1, "batch_size": 64}, 64 * 120),
    ],
)
def test_what_is_sampled_decides_the_activations_of_a_run_that_samples(
    name: str, changes: dict[str, Any], tokens: int
) -> None:
    """Answers of max_new_tokens after prompts of up to 80, of the value model as of the policy; a
    micro-batch of PPO-ptx's texts, the longest 120, where that is more."""
    parts = {part.name: part.amount for part in online(name, **changes).memory}
    assert parts["Activations of a pass"] == tokens * KEPT


def test_all_that_stands_beside_the_policy_counts() -> None:
    whole = SMALL.parameters
    parts = {part.name: part.amount for part in online("ppo").memory}
    assert parts["Reward models"] == (4 + 4 + 2) * whole
    assert parts["Reference model"] == 4 * whole
    assert parts["Value model, its gradients and moments"] == 16 * whole
    low = {part.name: part.amount for part in online("reinforce", dtype="bfloat16").memory}
    assert low["Reference model"] == 4 * whole
    assert low["The sampler's copy of the policy"] > 2 * SMALL.block_parameters
    assert "Value model, its gradients and moments" not in low
    served = {"kind": "serve", "url": "http://localhost:1", "model": "m", "folder": "f"}
    away = {part.name for part in online("grpo", dtype="bfloat16", rollout_source=served).memory}
    assert "The sampler's copy of the policy" not in away


def test_keys_and_values_count_where_they_are_more_than_the_update_takes() -> None:
    name = "Keys and values of the rollouts"
    assert name not in {part.name for part in online("grpo").memory}
    many = online("grpo", batch_size=1, gradient_checkpointing=True, adapter="lora",
                  prompts_per_step=64, rollout_source={"rows": 256})  # fmt: skip
    parts = {part.name: part.amount for part in many.memory}
    taken = parts[name] + parts["Gradients"] + parts["Activations of a pass"]
    assert taken == pytest.approx(5 / 3 * 2 * SMALL.layers * 128 * 4 * 256 * 256)


def test_worked_operations_of_a_run_that_samples() -> None:
    """32 answers of 128 tokens to 8 prompts of 60; PPO makes 4 passes over them, with a value model
    that has no projection, and PPO-ptx besides trains 8 texts of 100 tokens for each answer."""
    tokens = 8 * 60 + 32 * 128
    assert online("grpo").step_operations == 3 * SMALL.operations * tokens
    split = online("grpo", batch_size=2)
    assert split.step_operations == 3 * SMALL.operations * (tokens + 8 * 60)
    ppo, ptx = (
        online(name, hyperparameters={"epochs_per_batch": 4}) for name in ("ppo", "ppo_ptx")
    )
    once = 3 * (SMALL.operations + 2 * SMALL.block_parameters) * tokens
    assert ppo.step_operations == online("ppo").step_operations == 4 * once
    texts = ptx.step_operations - ppo.step_operations
    assert texts == 4 * 3 * SMALL.operations * 8 * 32 * (60 + 40)


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
    assert found.former_runs == 3
    assert budget.measured(MACHINE, []) == MACHINE
    assert budget.measured(MACHINE, [Speed(1e9, 0.0)]) == MACHINE


@pytest.mark.parametrize("gpu", [True, False])
def test_a_rule_of_thumb_says_that_it_is_one(gpu: bool) -> None:
    found = budget.rule_of_thumb(memory=GIBI, cores=2, gpu=gpu, dtype="bfloat16")
    assert "rule of thumb" in found.basis
    assert found.speed == (1e14 if gpu else 4e10)


@pytest.mark.parametrize("gpu", [False, True])
def test_a_frozen_base_in_bfloat16_takes_more_after_training(gpu: bool) -> None:
    """Two bytes a weight while it trains; then a float32 copy is saved and evaluated."""
    large = replace(SMALL, layers=32, hidden=4096, intermediate=11008, key_value=1024)
    asked = config(adapter="lora", dtype="bfloat16", batch_size=1, gradient_checkpointing=True)

    def estimated(**changes: Any) -> dict[str, float]:
        whole = replace(asked, **changes)
        machine = replace(MACHINE, on_cpu=not gpu)
        found = budget.estimate(whole, get_method("dpo"), large, DATA, machine)
        return {part.name: part.amount for part in found.memory}

    parts, weights = estimated(), large.parameters
    evaluated = budget.PROCESS_BYTES + 4 * weights
    assert parts["Weights"] == 2 * weights
    assert sum(parts.values()) == pytest.approx(
        max(evaluated, (2 + 4 * (not gpu)) * weights), rel=0.1
    )
    assert sum(parts.values()) >= evaluated
    name = "Saving and evaluating, beyond training"
    assert name in parts
    assert name not in estimated(dtype="float32")
    assert name not in estimated(adapter="full")
