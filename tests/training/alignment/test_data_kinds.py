"""The offline loop on each kind of data: it learns, with the right denominators."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.alignment import tiny
from tests.training.alignment.conftest import losses, read_metrics
from training.alignment.log_probs import CompletionScorer
from training.alignment.models import load_model, load_tokenizer
from training.alignment.objective import Objective
from training.alignment.offline import make_accelerator, train
from training.alignment.options import OptionError
from training.alignment.reward_model import RewardScorer, load_reward_model
from training.alignment.run_data import load_examples
from training.alignment.scoring import score
from training.alignment.supervision import StopRequest

CPU = torch.device("cpu")


def run(config):
    assert train(config, make_accelerator(CPU), StopRequest())


def steps(config):
    return [line["metrics"] for line in read_metrics(config) if "loss" in line["metrics"]]


def held_out(config):
    return [line["metrics"] for line in read_metrics(config) if "held_out_loss" in line["metrics"]]


def examples(config):
    objective, tokenizer = Objective.from_config(config), load_tokenizer(config.base_model)
    return load_examples(config, objective, tokenizer, config.train_file)[0]


def test_demonstrations_are_learned_and_perplexity_falls(make_config):
    config = make_config(method="sft", max_steps=12)
    run(config)
    first, last = held_out(config)[0], held_out(config)[-1]
    assert last["held_out_nll"] < first["held_out_nll"] - 1.0
    assert last["held_out_perplexity"] == pytest.approx(math.exp(last["held_out_nll"]))
    assert last["held_out_loss"] == pytest.approx(last["held_out_nll"])
    assert "held_out_accuracy" not in last


def test_a_step_on_demonstrations_is_one_mean_over_all_its_tokens(make_config):
    """Not a mean of means: short answers count by their tokens, whatever the micro-batches."""
    config = make_config(method="sft", max_steps=1, batch_size=1, gradient_accumulation=24)
    run(config)
    found = examples(config)
    scorer = CompletionScorer(load_model(config.base_model, dtype=torch.float32, device=CPU))
    sums = score(scorer, found, ["completion"], CPU)["completion"]
    tokens = sum(len(example.sequences["completion"].completion) for example in found)
    assert steps(config)[0]["loss"] == pytest.approx(float(-sums.sum()) / tokens, rel=1e-5)
    by_answer = [len(example.sequences["completion"].completion) for example in found]
    of_means = float(-(sums / torch.tensor(by_answer)).mean())
    assert steps(config)[0]["loss"] != pytest.approx(of_means, rel=1e-3)


@pytest.mark.parametrize(
    "method", ["sft", "sft_sequence", "dpo_pl", "reward_bradley_terry", "orpo"]
)
def test_micro_batches_do_not_change_the_numbers(make_config, tmp_path, method):
    whole = make_config(method=method, batch_size=6, gradient_accumulation=1, max_steps=3)
    changed = {"batch_size": 1, "gradient_accumulation": 6, "max_steps": 3}
    parts = make_config(method=method, **changed, output_dir=str(tmp_path / "parts"))
    run(whole)
    run(parts)
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-4)
    norms = [[line["grad_norm"] for line in steps(config)] for config in (parts, whole)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_the_weight_of_a_row_counts(make_config, tmp_path):
    """Two rows of weight one half are one row of weight one."""
    row = {"prompt": tiny.user("a?"), "completion": tiny.assistant("yes")}
    other = {"prompt": tiny.user("b?"), "completion": tiny.assistant("no, never")}
    once = tiny.write_lines(tmp_path / "once.jsonl", [row, other])
    halves = [{**row, "weight": 0.5}, {**row, "weight": 0.5}, other]
    twice = tiny.write_lines(tmp_path / "twice.jsonl", halves)
    found = []
    for name, file, batch in (("once", once, 2), ("twice", twice, 3)):
        folder = str(tmp_path / f"run-{name}")
        changes = {"batch_size": batch, "gradient_accumulation": 1, "max_steps": 2}
        config = make_config(
            method="sft", train_file=str(file), output_dir=folder, **changes, held_out_file=None
        )
        run(config)
        found.append(losses(config))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_lists_are_learned_and_their_order_is_measured(make_config):
    config = make_config(method="dpo_pl", max_steps=15, learning_rate=3e-3)
    run(config)
    assert Objective.from_config(config).loss_roles == ("list",)
    last = held_out(config)[-1]
    assert last["held_out_kendall_tau"] > 0.8
    assert last["held_out_pair_accuracy"] > 0.9
    assert last["held_out_best_first"] == 1.0
    assert last["held_out_reward_margin"] > 0.5


def test_the_first_loss_of_lists_is_that_of_equal_rewards(make_config):
    """Three of four lists have three entries, the others two: -log 1/3! and -log 1/2!."""
    config = make_config(method="dpo_pl", max_steps=1, batch_size=12, gradient_accumulation=2)
    run(config)
    expected = 0.75 * math.log(6) + 0.25 * math.log(2)
    assert steps(config)[0]["loss"] == pytest.approx(expected, abs=1e-4)


def test_a_reward_model_learns_pairs_and_is_saved_for_anyone(make_config):
    config = make_config(method="reward_bradley_terry", max_steps=12)
    run(config)
    assert steps(config)[0]["loss"] == pytest.approx(math.log(2), abs=0.05)
    last = held_out(config)[-1]
    assert last["held_out_accuracy"] == 1.0
    assert last["held_out_reward_margin"] > 1.0
    assert "held_out_score_mean" in last
    assert not any("log" in name for name in last)
    settings = json.loads((Path(config.output_dir) / "model" / "config.json").read_text())
    assert settings["architectures"] == ["LlamaForSequenceClassification"]


def test_a_reward_model_learns_all_pairs_of_lists_in_one_batch_element(make_config):
    config = make_config(method="reward_all_pairs", max_steps=15)
    run(config)
    assert steps(config)[0]["loss"] == pytest.approx(math.log(2), abs=0.05)
    assert held_out(config)[-1]["held_out_pair_accuracy"] > 0.9
    assert held_out(config)[-1]["held_out_kendall_tau"] > 0.8


def test_soft_labels_set_how_far_scores_part(make_config, tmp_path):
    rows = [
        {
            "prompt": tiny.user("why?"),
            "chosen": tiny.assistant("yes"),
            "rejected": tiny.assistant("no"),
            "probability": 0.75,
        }
    ] * 4
    file = tiny.write_lines(tmp_path / "soft.jsonl", rows)
    config = make_config(
        method="reward_soft_labels",
        train_file=str(file),
        held_out_file=None,
        max_steps=40,
        learning_rate=3e-3,
    )
    run(config)
    assert steps(config)[-1]["reward_margin"] == pytest.approx(math.log(3), abs=0.1)


@pytest.mark.parametrize("zero", ["none", "data", "demonstrations"])
def test_the_zero_of_scores_is_set_by_what_the_run_names(make_config, tmp_path, zero):
    answers = tiny.write_demonstrations(tmp_path / "answers.jsonl", 6)
    config = make_config(
        method="reward_bradley_terry",
        max_steps=3,
        score_zero=zero,
        demonstrations_file=str(answers),
    )
    run(config)
    model = load_reward_model(Path(config.output_dir) / "model", dtype=torch.float32, device=CPU)
    pairs, scorer = examples(config), RewardScorer(model)
    probe = make_config(method="sft", train_file=str(answers), held_out_file=None)
    with torch.no_grad():
        demonstrations = score(scorer, examples(probe), ["completion"], CPU)["completion"]
        both = score(scorer, pairs, ["chosen", "rejected"], CPU)
    means = {
        "demonstrations": float(demonstrations.mean()),
        "data": float(torch.cat(list(both.values())).mean()),
    }
    for name, mean in means.items():
        assert (abs(mean) < 1e-5) == (name == zero)


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_the_zero_is_that_of_the_saved_model_whatever_the_run_computes_in(make_config, adapter):
    config = make_config(
        method="reward_bradley_terry", dtype="bfloat16", adapter=adapter, max_steps=2,
        learning_rate=1e-2, score_zero="data", held_out_file=None,
    )  # fmt: skip
    run(config)
    model = load_reward_model(Path(config.output_dir) / "model", dtype=torch.float32, device=CPU)
    with torch.no_grad():
        both = score(RewardScorer(model), examples(config), ["chosen", "rejected"], CPU)
    assert float(torch.cat(list(both.values())).mean()) == pytest.approx(0.0, abs=1e-5)


def test_a_reward_model_may_be_a_lora_with_a_head_of_its_own(make_config):
    config = make_config(
        method="reward_bradley_terry", adapter="lora", lora_rank=4, learning_rate=1e-2, max_steps=12
    )
    run(config)
    assert held_out(config)[-1]["held_out_accuracy"] == 1.0
    output = Path(config.output_dir)
    assert (output / "adapter" / "adapter_model.safetensors").exists()
    merged = RewardScorer(load_reward_model(output / "model", dtype=torch.float32, device=CPU))
    with torch.no_grad():
        scores = score(merged, examples(config), ["chosen", "rejected"], CPU)
    assert (scores["chosen"] > scores["rejected"]).all()


def test_a_list_gives_a_pair_method_its_pairs_and_pairs_give_demonstrations(make_config, tmp_path):
    pairs = tiny.write_pairs(tmp_path / "pairs.jsonl", 8)
    config = make_config(method="sft", train_file=str(pairs), held_out_file=None, max_steps=1)
    with pytest.raises(ValueError, match="shape of pairs data"):
        run(config)
    asked = make_config(
        method="sft", train_file=str(pairs), held_out_file=None, max_steps=1, convert_data=True
    )
    run(asked)
    assert len(examples(asked)) == 8


def test_what_is_about_reward_models_is_refused_elsewhere(make_config):
    with pytest.raises(OptionError, match="score_zero"):
        make_config(score_zero="data")
    with pytest.raises(OptionError, match="demonstrations_file"):
        make_config(method="reward_bradley_terry", score_zero="demonstrations")
    for method in ("sft", "dpo_pl", "beta_dpo"):
        with pytest.raises(OptionError, match="takes no soft labels"):
            make_config(method=method, soft_labels=True)


@pytest.mark.parametrize(
    ("turns", "trained"), [("all", "b<|im_end|>d<|im_end|>"), ("last", "d<|im_end|>")]
)
def test_supervised_fine_tuning_trains_the_assistants_turns_of_a_talk(
    make_config, tmp_path, turns, trained
):
    talk = [*tiny.user("a"), *tiny.assistant("b"), *tiny.user("c"), *tiny.assistant("d")]
    file = tiny.write_lines(tmp_path / "talks.jsonl", [{"messages": talk}])
    config = make_config(method="sft", train_file=str(file), assistant_turns=turns, max_length=128)
    tokenizer = tiny.byte_tokenizer()
    (example,), _ = load_examples(config, Objective.from_config(config), tokenizer, str(file))
    one = example.sequences["completion"]
    kept = one.completion if one.context is None else one.completion[~one.context]
    assert tokenizer.decode(kept) == trained
    assert one.trained_tokens == len(kept)


@pytest.mark.parametrize(
    ("method", "said", "target"),
    [
        ("dpo", {"strength": -2}, 1.0),
        ("dpo", {"probability": 0.2}, 1.0),
        ("reward_soft_labels", {"probability": 0.2}, 0.8),
    ],
)
def test_a_pair_whose_rejected_side_is_better_changes_places(
    make_config, tmp_path, method, said, target
):
    row = {"prompt": "Q", "chosen": "worse", "rejected": "better", **said}
    file = tiny.write_lines(tmp_path / "pairs.jsonl", [row])
    config = make_config(method=method, train_file=str(file))
    (example,) = examples(config)
    tokenizer = load_tokenizer(config.base_model)
    assert tokenizer.decode(example.sequences["chosen"].completion) == "better<|im_end|>"
    assert tokenizer.decode(example.sequences["rejected"].completion) == "worse<|im_end|>"
    assert example.target == pytest.approx(target)


def test_supervised_fine_tuning_tells_how_many_tokens_are_the_first_choice(make_config, tmp_path):
    rows = [
        {
            "messages": [
                *tiny.user(f"{place}"), *tiny.assistant("yes" * (place + 1)),
                *tiny.user("?"), *tiny.assistant("no"),
            ],
            "weight": 1 + place,
        }
        for place in range(4)
    ]  # fmt: skip
    file = str(tiny.write_lines(tmp_path / "talks.jsonl", rows))
    config = make_config(
        method="sft", train_file=file, held_out_file=file, max_length=200, max_steps=30,
        learning_rate=1e-2, evaluate_every=30,
    )  # fmt: skip
    run(config)
    first, last = (found["held_out_token_accuracy"] for found in held_out(config))
    assert first < last <= 1.0
    model = load_model(Path(config.output_dir) / "model", dtype=torch.float32, device=CPU)
    right = whole = 0.0
    for example in examples(config):
        one = example.sequences["completion"]
        ids = torch.from_numpy(np.concatenate([one.prompt, one.completion])).long()
        with torch.no_grad():
            guessed = model(ids[None]).logits[0, len(one.prompt) - 1 : -1].argmax(dim=1)
        kept = torch.from_numpy(~one.context)
        hits = (guessed == ids[len(one.prompt) :])[kept]
        right, whole = right + example.weight * hits.sum(), whole + example.weight * len(hits)
    assert last == pytest.approx(float(right / whole), abs=1e-6)


def test_orpo_may_take_its_likelihood_over_prompt_and_answer(make_config):
    options = {"odds_ratio_weight": 0.0, "likelihood": "text"}
    config = make_config(
        method="orpo", max_steps=1, batch_size=24, gradient_accumulation=1, hyperparameters=options
    )
    run(config)
    model = load_model(config.base_model, dtype=torch.float32, device=CPU)
    whole = []
    for example in examples(config):
        one = example.sequences["chosen"]
        ids = torch.from_numpy(np.concatenate([one.prompt, one.completion])).long()
        with torch.no_grad():
            logps = model(ids[None]).logits[0, :-1].log_softmax(dim=1)
        whole.append(-logps.gather(1, ids[1:, None]).mean())
    assert steps(config)[0]["loss"] == pytest.approx(float(torch.stack(whole).mean()), rel=1e-4)
    plain = Objective.from_config(make_config(method="orpo"))
    assert plain.roles == ("chosen", "rejected")
