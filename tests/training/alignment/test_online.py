"""The online loop learns, watches, stops, and keeps its word about what it samples."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPTJConfig, GPTJForCausalLM

from tests.training.alignment import tiny
from tests.training.alignment.conftest import read_metrics
from tests.training.alignment.online_toys import Reward, share_of, sources, write_prompts
from training.alignment.checkpoints import latest_checkpoint
from training.alignment.data import read_rows
from training.alignment.failures import TrainingError
from training.alignment.journal import Journal
from training.alignment.models import load_model
from training.alignment.offline import make_accelerator
from training.alignment.online import KLBudgetError, train
from training.alignment.online_run import prepare
from training.alignment.options import OptionError
from training.alignment.rewards.protocol import RewardError
from training.alignment.run_data import limits
from training.alignment.supervision import StopRequest
from training.alignment.tokenization import DataReport, tokenize_rows

CPU = torch.device("cpu")
VOWELS = Reward("vowels", share_of("aeiou"))


@pytest.fixture
def config(make_config, tmp_path):
    """A run on twelve prompts; a test changes what it is about."""

    def make(method="grpo", **changes):
        values = {
            "train_file": str(write_prompts(tmp_path / "prompts.jsonl", 12)),
            "held_out_file": None, "learning_rate": 3e-3, "warmup_steps": 0, "max_steps": 3,
            "epochs": 1000.0, "batch_size": 32, "prompts_per_step": 4, "samples_per_prompt": 4,
            "max_new_tokens": 6, "max_prompt_length": 40, "max_length": 64,
            "checkpoint_every": 2, "evaluate_every": 2, "sample_prompts": 3,
        }  # fmt: skip
        return make_config(method=method, **values | changes)

    return make


def go(config, *rewards, watched=None, stop=None):
    rewards = rewards or (VOWELS,)
    return train(
        config, make_accelerator(CPU), stop or StopRequest(), sources(*rewards, watched=watched)
    )


def steps(config):
    return [line["metrics"] for line in read_metrics(config) if "reward" in line["metrics"]]


def ptx(tmp_path):
    rows = [{"prompt": "", "completion": f"Text number {number}."} for number in range(6)]
    return str(tiny.write_lines(tmp_path / "ptx.jsonl", rows))


LEARNS = {
    "reinforce": {"beta": 0.01},
    "rloo": {"beta": 0.01},
    "ppo": {"kl_coefficient": 0.01, "epochs_per_batch": 2},
    "ppo_ptx": {"kl_coefficient": 0.01, "epochs_per_batch": 2, "ptx_coefficient": 0.1,
                "ptx_examples": 1},
    "grpo": {"beta": 0.01},
}  # fmt: skip


@pytest.mark.parametrize("method", LEARNS)
def test_each_method_raises_the_reward(config, tmp_path, method):
    file = ptx(tmp_path) if method == "ppo_ptx" else None
    made = config(
        method, max_steps=25, prompts_per_step=8, hyperparameters=LEARNS[method], ptx_file=file
    )
    assert go(made)
    rewards = [values["reward"] for values in steps(made)]
    assert len(rewards) == 25
    assert np.mean(rewards[-5:]) > np.mean(rewards[:5]) + 0.1
    assert load_model(Path(made.output_dir) / "model", dtype=torch.float32, device=CPU)


def test_at_the_first_update_policy_sampler_and_reference_agree(config):
    made = config(max_steps=1)
    go(made)
    values = steps(made)[0]
    assert values["kl_k1"] == pytest.approx(0.0, abs=1e-5)
    assert values["kl_k3"] == pytest.approx(0.0, abs=1e-5)
    assert values["ratio"] == pytest.approx(1.0, abs=1e-6)
    assert values["clip_fraction"] == 0.0
    assert values["sampler_difference"] < 1e-5
    assert values["sampler_max_ratio"] == pytest.approx(1.0, abs=1e-4)


def test_a_run_that_is_paid_for_entropy_alone_raises_it(config):
    paid = {"beta": 0.0, "entropy_coefficient": 1.0, "reduction": "token"}
    made = config("reinforce", max_steps=6, hyperparameters=paid)
    go(made, Reward("dull", lambda rollout: 0.0))
    first, *_, last = steps(made)
    # The loss is the bonus alone; what is logged is an estimate from the sampled tokens.
    assert -first["loss"] == pytest.approx(first["entropy"], rel=0.1)
    assert -last["loss"] > -first["loss"]


@pytest.mark.parametrize("temperature", [0.5, 1.7])
def test_answers_are_scored_at_the_temperature_they_were_sampled_at(config, temperature):
    made = config(max_steps=2, temperature=temperature)
    go(made)
    assert all(values["sampler_difference"] < 1e-5 for values in steps(made))


def test_every_reward_source_is_logged_apart_and_the_watched_one_trains_nothing(config, tmp_path):
    length = Reward("length", lambda rollout: float(len(rollout.completion)))
    plain = config(output_dir=str(tmp_path / "plain"))
    watched = config(output_dir=str(tmp_path / "watched"), test_reward="length")
    go(plain)
    go(watched, watched=length)
    for ours, theirs in zip(steps(watched), steps(plain), strict=True):
        assert ours["reward"] == theirs["reward"]
        assert ours["reward"] == pytest.approx(ours["reward_vowels"])
        assert ours["loss"] == theirs["loss"]
        assert ours["reward_length"] == ours["completion_length"]
        assert "reward_length" not in theirs
    assert steps(watched)[0]["rewards_parted"] == 0.0


def test_two_sources_add_up(config):
    made = config(max_steps=1)
    go(made, VOWELS, Reward("constant", lambda rollout: 2.0))
    values = steps(made)[0]
    assert values["reward"] == pytest.approx(values["reward_vowels"] + 2.0)


def test_a_missing_end_costs_the_penalty(config, tmp_path):
    """With a reward that is constant, only the penalty is left to learn from."""
    made = config(
        max_steps=40, missing_end_penalty=1.0, prompts_per_step=8, hyperparameters={"beta": 0.0}
    )
    go(made, Reward("constant", lambda rollout: 0.0))
    ended = [values["ended_share"] for values in steps(made)]
    assert np.mean(ended[-5:]) > np.mean(ended[:5]) + 0.2
    # What is watched is what is trained on: the reward rises, and groups that differ can teach.
    for values in steps(made):
        assert values["reward"] == pytest.approx(values["ended_share"] - 1.0, abs=1e-6)
        assert values["reward_missing_end"] == pytest.approx(values["reward"], abs=1e-6)
        assert values["reward_constant"] == 0.0
        assert (values["zero_variance_share"] == 1.0) == (values["grad_norm"] == 0.0)
    assert any(0.0 < values["zero_variance_share"] < 1.0 for values in steps(made))


def test_the_kl_budget_stops_the_run_and_keeps_a_checkpoint(config):
    made = config(max_steps=50, kl_budget=0.05, learning_rate=1e-2)
    with pytest.raises(KLBudgetError, match=r"KL budget of 0\.05\. A checkpoint.*resume this"):
        go(made)
    found = latest_checkpoint(Path(made.output_dir) / "checkpoints")
    kl = [values["kl_k3"] for values in steps(made)]
    assert kl[-1] > 0.05
    assert all(value <= 0.05 for value in kl[:-1])
    assert found is not None
    assert found.step == len(kl) - 1
    raised = config(max_steps=len(kl) + 1, kl_budget=1e6, learning_rate=1e-2)
    with pytest.raises(TrainingError, match="other settings"):
        go(raised)  # max_steps is a setting, the budget is not


def test_a_run_over_its_budget_goes_on_with_a_larger_one(config):
    made = config(max_steps=6, kl_budget=0.01, learning_rate=1e-2)
    with pytest.raises(KLBudgetError):
        go(made)
    assert go(config(max_steps=6, kl_budget=1e6, learning_rate=1e-2))
    assert len(steps(made)) == 6


def test_the_step_kl_limit_ends_a_steps_updates(config):
    hyperparameters = {"epochs_per_batch": 6}
    made = config(max_steps=2, step_kl_limit=1e-9, hyperparameters=hyperparameters)
    go(made)
    assert [values["updates"] for values in steps(made)] == [2, 2]


def test_mini_batches_and_passes_are_separate_updates(config):
    made = config(max_steps=1, hyperparameters={"epochs_per_batch": 3, "mini_batches": 2})
    go(made)
    assert steps(made)[0]["updates"] == 6
    assert steps(made)[0]["kl_old"] > 0.0


def test_the_clipped_ratio_allows_several_updates(config):
    several = {"objective": "sequence_clip", "epochs_per_batch": 2, "mini_batches": 2}
    made = config("rloo", max_steps=1, hyperparameters=several)
    go(made)
    assert steps(made)[0]["updates"] == 4


def test_micro_batches_change_nothing(config, tmp_path):
    found = []
    for size in (1, 3, 32):
        made = config("ppo", batch_size=size, output_dir=str(tmp_path / f"run-{size}"))
        go(made)
        found.append([(values["loss"], values["grad_norm"]) for values in steps(made)])
    for other in found[1:]:
        assert np.array(other) == pytest.approx(np.array(found[0]), rel=1e-4, abs=1e-6)


def test_an_adaptive_coefficient_moves_and_is_logged(config):
    made = config(
        "ppo",
        max_steps=4,
        hyperparameters={"kl_controller": "schulman", "kl_target": 1e3, "kl_coefficient": 0.8},
    )
    go(made)
    assert [values["kl_coefficient"] for values in steps(made)] == [0.8, 0.4, 0.2, 0.1]


def test_a_value_model_learns_to_explain_the_returns(config):
    made = config(
        "ppo", max_steps=30, prompts_per_step=8, value_learning_rate=1e-2, learning_rate=1e-5,
        hyperparameters={"value_clip_range": 0.0, "value_coefficient": 1.0},
    )  # fmt: skip
    go(made, Reward("long", lambda rollout: float(len(rollout.completion) == 6)))
    explained = [values["explained_variance"] for values in steps(made)]
    losses = [values["value_loss"] for values in steps(made)]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:3])
    assert np.mean(explained[-5:]) > np.mean(explained[:3])


def test_samples_through_training_answer_the_same_prompts_again(config, tmp_path):
    held_out = str(write_prompts(tmp_path / "held_out.jsonl", 5))
    made = config(max_steps=4, held_out_file=held_out)
    go(made)
    lines = [
        json.loads(line)
        for line in (Path(made.output_dir) / "step_samples.jsonl").read_text().splitlines()
    ]
    assert [line["step"] for line in lines] == [0] * 3 + [2] * 3 + [4] * 3
    assert [line["position"] for line in lines] == [0, 1, 2] * 3
    assert len({json.dumps(line["prompt"]) for line in lines}) == 3
    assert lines[0].keys() >= {"prompt", "text", "reward", "reward_vowels", "kl"}
    held = [line["metrics"] for line in read_metrics(made) if "held_out_reward" in line["metrics"]]
    assert len(held) == 3


def test_prompts_of_pairs_are_answered_once_each(config, tmp_path):
    pairs = tiny.write_pairs(tmp_path / "pairs.jsonl", 6)
    made = config(max_steps=1, train_file=str(pairs))
    assert go(made)


def test_a_prompt_that_a_step_asks_twice_gets_other_answers(config, tmp_path):
    one = str(write_prompts(tmp_path / "one.jsonl", 1))
    made = config(max_steps=1, train_file=one, prompts_per_step=4)
    seen = []
    go(made, Reward("seen", lambda rollout: float(seen.append(rollout.text) or 0.0)))
    assert len(set(seen)) == 16


def test_lora_trains_against_its_explicit_reference(config):
    made = config(adapter="lora", lora_rank=4, max_steps=3, learning_rate=1e-2)
    go(made)
    values = steps(made)
    assert values[0]["kl_k3"] == pytest.approx(0.0, abs=1e-5)
    assert values[-1]["kl_k3"] > 0.0
    assert (Path(made.output_dir) / "adapter").is_dir()


@pytest.mark.parametrize("method", LEARNS)
def test_bfloat16_trains(config, tmp_path, method):
    file = ptx(tmp_path) if method == "ppo_ptx" else None
    made = config(
        method, dtype="bfloat16", max_steps=2, hyperparameters=LEARNS[method], ptx_file=file
    )
    go(made)
    for values in steps(made):
        assert math.isfinite(values["loss"])
        assert 0.0 < values["grad_norm"] < math.inf


@pytest.mark.parametrize(("rate", "own"), [(0.0, 1e-2), (1e-2, 0.0)])
def test_a_value_learning_rate_is_its_own(config, rate, own):
    made = config("ppo", learning_rate=rate, value_learning_rate=own)
    accelerator = make_accelerator(CPU)
    run = prepare(made, accelerator, Journal(Path(made.output_dir), active=True), sources(VOWELS))
    peaks = [group["peak"] for group in run.optimizer.param_groups]
    assert peaks == [rate, own]


@pytest.mark.parametrize("held_out", [True, False])
def test_the_kl_budget_judges_the_last_update(config, tmp_path, held_out):
    file = str(write_prompts(tmp_path / "held_out.jsonl", 3)) if held_out else None
    made = config(max_steps=1, kl_budget=1e-4, learning_rate=1e-2, held_out_file=file)
    with pytest.raises(KLBudgetError, match="After step 1 the policy"):
        go(made)
    assert not (Path(made.output_dir) / "model").exists()


def test_without_a_held_out_side_the_last_policy_is_measured_as_a_next_step_would(config, tmp_path):
    seen = []
    reward = Reward("vowels", lambda one: float(seen.append(one) or VOWELS.function(one)))
    made = config("ppo", max_steps=2, kl_budget=1e6)
    assert go(made, reward)
    assert len(seen) == 2 * 16  # a reward may cost money
    longer = config("ppo", max_steps=3, output_dir=str(tmp_path / "longer"))
    assert go(longer, reward)
    final, third = read_metrics(made)[-1]["metrics"], steps(longer)[2]
    assert set(final) == {"final_kl_k1", "final_kl_k2", "final_kl_k3", "final_sqrt_kl"}
    assert final["final_kl_k3"] == pytest.approx(third["kl_k3"], rel=1e-5)
    assert "final_kl_k3" not in read_metrics(longer)[-1]["metrics"]


def test_a_stop_before_the_updates_gives_the_step_up(config):
    stop, seen = StopRequest(), []

    def reward(rollout):
        seen.append(rollout)
        stop.is_set = len(seen) > 16  # the second step's
        return 0.0

    made = config(max_steps=5)
    assert not go(made, Reward("counts", reward), stop=stop)
    found = latest_checkpoint(Path(made.output_dir) / "checkpoints")
    assert found is not None
    assert found.step == len(steps(made)) == 1


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"samples_per_prompt": 1}, "samples_per_prompt"),
        ({"hyperparameters": {"mini_batches": 3}}, "prompts_per_step"),
        ({"max_new_tokens": 60}, "max_new_tokens"),
        ({"method": "ppo_ptx"}, "ptx_file"),
        ({"method": "reinforce", "hyperparameters": {"epochs_per_batch": 2}}, "epochs_per_batch"),
        ({"method": "rloo", "hyperparameters": {"mini_batches": 2}}, "mini_batches"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_loaded(config, changes, name):
    with pytest.raises(OptionError) as caught:
        go(config(**changes))
    assert caught.value.name == name


def test_pretraining_texts_are_scored_at_temperature_one_on_the_models_own_turns(config, tmp_path):
    turns = [tiny.assistant("yes")[0], tiny.user("Really?")[0], tiny.assistant("no")[0]]
    file = tiny.write_lines(
        tmp_path / "ptx.jsonl", [{"prompt": tiny.user("So?"), "completion": turns}]
    )
    once = {"epochs_per_batch": 1, "mini_batches": 1}
    made = config(
        "ppo_ptx", max_steps=1, temperature=0.5, ptx_file=str(file), max_length=128,
        hyperparameters=once,
    )  # fmt: skip
    go(made)
    rows = read_rows(file, "demonstrations")
    (example,) = tokenize_rows(rows, tiny.byte_tokenizer(), limits(made), DataReport())
    text = example.sequences["completion"]
    assert text.context is not None
    ids = torch.from_numpy(np.concatenate([text.prompt, text.completion])).long()
    model = load_model(made.base_model, dtype=torch.float32, device=CPU)
    with torch.no_grad():
        logps = model(ids[None]).logits[0, :-1].log_softmax(dim=1).gather(1, ids[1:, None])[:, 0]
    own = logps[len(text.prompt) - 1 :][torch.from_numpy(~text.context)]
    assert steps(made)[0]["ptx_loss"] == pytest.approx(-float(own.mean()), rel=1e-4)


def test_a_model_that_is_scored_in_padded_batches_says_so_once(config, tmp_path, capsys):
    settings = GPTJConfig(
        vocab_size=259, n_positions=256, n_embd=32, n_layer=2, n_head=2, rotary_dim=8,
        bos_token_id=None, eos_token_id=257,
    )  # fmt: skip
    GPTJForCausalLM(settings).save_pretrained(tmp_path / "gptj")
    tiny.byte_tokenizer().save_pretrained(tmp_path / "gptj")
    go(config(base_model=str(tmp_path / "gptj"), max_steps=2))
    assert capsys.readouterr().out.count("scored in padded batches") == 1
    go(config(max_steps=1, output_dir=str(tmp_path / "plain")))
    assert "padded" not in capsys.readouterr().out


def test_a_reward_that_fails_names_its_source(config):
    def fails(rollout):
        raise KeyError("answer")

    with pytest.raises(RewardError, match="reward source 'checker' failed with KeyError"):
        go(config(), Reward("checker", fails))
