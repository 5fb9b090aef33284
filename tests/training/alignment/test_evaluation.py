import json
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.training.alignment import tiny
from tests.training.alignment.conftest import read_metrics
from training.alignment import evaluate, offline, policies
from training.alignment.estimates import bootstrap, divergence_estimates
from training.alignment.evaluation import evaluate_model, reward
from training.alignment.journal import Journal
from training.alignment.rewards.reward_models import RewardModelSource
from training.alignment.tokenization import Example, TokenSequence
from training.alignment.train import run

SIDES = {role: TokenSequence(np.array([1]), np.array([2])) for role in ("chosen", "rejected")}


def evaluation(config):
    return json.loads((Path(config.output_dir) / "evaluation.json").read_text())


def samples(config):
    lines = (Path(config.output_dir) / "samples.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_trained_policy_is_compared_with_its_reference(make_config):
    config = make_config(max_steps=10, sample_prompts=11, sample_max_new_tokens=5)
    run(config)
    result = evaluation(config)
    held_out, kl, length = result["held_out"], result["kl"], result["length"]
    assert (held_out["examples"], held_out["prompts"], held_out["dropped"]) == (12, 12, 0)
    # Wilson's interval of 12 of 12: a bootstrap of equal values would be certain.
    assert held_out["accuracy"] == pytest.approx({"value": 1.0, "low": 0.7575, "high": 1.0}, 1e-4)
    margin = held_out["reward_margin"]
    assert 0 < margin["low"] < margin["value"] < margin["high"]
    moved = held_out["log_ratio_margin"]
    assert {end: 0.1 * moved[end] for end in moved} == pytest.approx(margin)
    assert (kl["prompts"], kl["temperature"], kl["max_new_tokens"]) == (11, 1.0, 5)
    assert kl["k3"]["value"] > 0
    assert kl["tokens"] == sum(line["after_tokens"] for line in samples(config))
    mean = np.mean([line["log_ratio"] for line in samples(config)])
    assert kl["k1"]["value"] == pytest.approx(mean)
    assert length["difference"]["value"] == pytest.approx(
        length["after"]["value"] - length["before"]["value"]
    )
    assert len(samples(config)) == 11
    assert set(samples(config)[0]) >= {"prompt", "before", "after"}


def test_a_run_in_bfloat16_is_evaluated_in_float32(make_config):
    """A short run moves answers by no more than products in bfloat16 are off."""
    config = make_config(max_steps=1, dtype="bfloat16", sample_prompts=4, sample_max_new_tokens=6)
    run(config)
    folder = Path(config.output_dir)
    told = json.loads((folder / "evaluation.json").read_text())
    journal = Journal(folder, active=False)
    exact = replace(config, dtype="float32")
    found = evaluate_model(exact, folder / "model", folder, torch.device("cpu"), journal)
    for part in ("held_out", "kl", "perplexity"):
        assert json.loads(json.dumps(found[part])) == told[part]


def test_kto_is_judged_by_the_sign_of_its_rewards(make_config):
    config = make_config(method="kto", max_steps=10)
    run(config)
    held_out = evaluation(config)["held_out"]
    assert held_out["accuracy"]["value"] == 1.0
    difference = held_out["chosen_reward"]["value"] - held_out["rejected_reward"]["value"]
    assert held_out["reward_margin"]["value"] == pytest.approx(difference)
    assert held_out["reward_margin"]["low"] < difference < held_out["reward_margin"]["high"]
    assert held_out["chosen_reward"]["value"] > 0 > held_out["rejected_reward"]["value"]
    assert evaluation(config)["kl"]["k1"]["value"] is None


def test_the_reference_itself_has_moved_nowhere(
    make_config, tmp_path, monkeypatch, model_folder, capsys
):
    config = make_config(sample_prompts=10, sample_max_new_tokens=5)
    path = tmp_path / "run.json"
    path.write_text(config.to_json())
    arguments = ["evaluate", "--config", str(path), "--policy", str(model_folder)]
    monkeypatch.setattr("sys.argv", arguments)
    assert evaluate.main() == 0
    assert capsys.readouterr().out.endswith(f"evaluation.json is in {config.output_dir}\n")
    result = evaluation(config)
    assert result["held_out"]["accuracy"]["value"] == 0.5
    assert result["kl"]["k1"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert result["length"]["difference"]["value"] == 0.0
    assert all(line["before"] == line["after"] for line in samples(config))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"held_out_file": None}, "held_out_file: is not set"),
        ({}, "gone: there is no such folder"),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_one_line(
    make_config, tmp_path, monkeypatch, capsys, changes, words
):
    path = tmp_path / "run.json"
    path.write_text(make_config(**changes).to_json())
    arguments = ["evaluate", "--config", str(path), "--policy", str(tmp_path / "gone")]
    monkeypatch.setattr("sys.argv", arguments)
    assert evaluate.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert "Failed unexpectedly" not in line


def test_the_interval_covers_the_truth_as_often_as_it_says():
    generator, hits = np.random.default_rng(0), 0
    clusters = [str(number // 3) for number in range(120)]
    for trial in range(200):
        effects = np.repeat(generator.normal(size=40), 3) + generator.normal(size=120)
        interval = bootstrap(effects, np.ones(120), clusters, trial)
        low, high = interval["low"], interval["high"]
        assert low is not None
        assert high is not None
        hits += low <= 0.0 <= high
    assert 0.89 <= hits / 200 <= 0.99


def test_few_prompts_give_a_value_without_an_interval():
    values = np.arange(30.0)
    result = bootstrap(values, np.ones(30), [str(n % 9) for n in range(30)], 0)
    assert result == {"value": 14.5, "low": None, "high": None}


def test_a_method_with_a_state_has_one_held_out_loss(make_config):
    """Of β-DPO the curve's last point and the evaluation start from the same running mean."""
    config = make_config(method="beta_dpo", max_steps=6, evaluate_every=6)
    run(config)
    last = read_metrics(config)[-1]["metrics"]
    loss = evaluation(config)["held_out"]["loss"]["value"]
    assert loss == pytest.approx(last["held_out_loss"], rel=1e-4)
    (Path(config.output_dir) / "method_state.json").unlink()
    journal, folder = Journal(Path(config.output_dir), active=False), Path(config.output_dir)
    found = evaluate_model(config, folder / "model", folder, torch.device("cpu"), journal)
    assert found["held_out"]["loss"]["value"] != pytest.approx(loss, rel=1e-3)


def test_a_reward_without_a_reference_is_told_from_where_it_began(make_config):
    config = make_config(method="simpo", max_steps=6, evaluate_every=6)
    run(config)
    held_out, before = evaluation(config)["held_out"], read_metrics(config)[0]
    assert before["step"] == 0
    for name in ("loss", "reward_margin"):
        start = before["metrics"][f"held_out_{name}"]
        moved = held_out[f"{name}_moved"]
        assert moved["value"] == pytest.approx(held_out[name]["value"] - start, abs=1e-5)
        assert moved["low"] < moved["value"] < moved["high"]
    assert held_out["reward_margin_moved"]["value"] > 0 > held_out["loss_moved"]["value"]


def test_weights_and_missing_values_count():
    values, weights = np.array([1.0, 5.0, np.nan]), np.array([3.0, 1.0, 9.0])
    assert bootstrap(values, weights, ["a", "b", "c"], 0)["value"] == 2.0
    assert bootstrap(values[2:], weights[2:], ["c"], 0)["value"] is None


def test_both_estimates_meet_the_exact_divergence():
    generator = torch.Generator().manual_seed(0)
    policy, reference = torch.randn(2, 12, generator=generator, dtype=torch.float64).log_softmax(1)
    exact = float((policy.exp() * (policy - reference)).sum())
    drawn = torch.multinomial(policy.exp(), 100_000, replacement=True, generator=generator)
    pairs = zip(policy[drawn].numpy(), reference[drawn].numpy(), strict=True)
    estimates = np.array([divergence_estimates(p[None], r[None]) for p, r in pairs])
    np.testing.assert_allclose(estimates.mean(0), exact, rtol=0.02)
    assert (estimates[:, 1] >= 0).all()


def test_a_policy_is_described_in_full(make_config):
    config = make_config(max_steps=10, sample_prompts=11, sample_max_new_tokens=6)
    run(config)
    result = evaluation(config)
    moved, held_out = result["movement"], result["held_out"]
    assert held_out["accuracy_before"]["value"] == 0.5
    for side in ("chosen", "rejected"):
        difference = moved[side]["after"]["value"] - moved[side]["before"]["value"]
        assert moved[side]["difference"]["value"] == pytest.approx(difference)
        assert held_out[f"log_ratio_{side}"]["value"] == pytest.approx(difference, abs=1e-4)
    assert moved["rejected"]["fell"]["value"] == 1.0
    assert held_out["loss_moved"]["value"] == pytest.approx(
        held_out["loss"]["value"] - np.log(2.0), abs=1e-5
    )
    assert held_out["reward_margin_moved"] == pytest.approx(held_out["reward_margin"], abs=1e-5)
    perplexity = result["perplexity"]
    assert perplexity["of"] == "chosen answers"
    assert perplexity["tokens"] > 12
    tax = np.log(perplexity["after"]["value"] / perplexity["before"]["value"])
    assert tax < 0  # the chosen answers all say yes, and the policy has learned to
    assert result["diversity"]["distinct_1"]["after"]["value"] is not None
    assert result["win_rate"] == {}


def test_every_policy_is_held_to_the_same_pairs_in_the_same_way(make_config, tmp_path):
    """Those of a method that reads pairs are the yardstick of all others."""
    trained = make_config(method="sft", max_steps=6, output_dir=str(tmp_path / "sft"))
    run(trained)
    assert evaluation(trained)["preferences"] == {}
    pairs = str(tiny.write_pairs(tmp_path / "pairs.jsonl", 12, offset=24))

    def evaluated(method, **changes):
        config = make_config(method=method, output_dir=str(tmp_path / method), **changes)
        journal, model = Journal(tmp_path, active=False), Path(trained.output_dir) / "model"
        folder = Path(config.output_dir)
        return evaluate_model(config, model, folder, torch.device("cpu"), journal)

    dpo = evaluated("dpo", held_out_file=pairs)
    told = dpo["preferences"]
    assert (told["pairs"], told["prompts"]) == (12, 12)
    assert told["accuracy"] == dpo["held_out"]["accuracy"]
    assert told["log_ratio_margin"] == dpo["held_out"]["log_ratio_margin"]
    assert (told["movement"], told["perplexity"]) == (dpo["movement"], dpo["perplexity"])
    assert told["movement"]["chosen"]["difference"]["value"] > 1.0
    for method in ("sft", "grpo"):
        found = evaluated(method, held_out_pairs_file=pairs)
        assert found["preferences"] == told
        assert "accuracy" not in found["held_out"]


def test_pairs_that_tie_prefer_nothing(make_config, tmp_path):
    rows = [
        {"prompt": f"{number}?", "chosen": "yes", "rejected": "no", "probability": share}
        for number, share in enumerate([0.9, 0.5, 0.1, 0.5])
    ]
    file = str(tiny.write_lines(tmp_path / "ties.jsonl", rows))
    for config in (
        make_config(soft_labels=True, held_out_file=file),
        make_config(method="sft", held_out_pairs_file=file),
    ):
        journal, folder = Journal(tmp_path, active=False), Path(config.base_model)
        found = evaluate_model(config, folder, tmp_path, torch.device("cpu"), journal)
        assert found["preferences"]["pairs"] == 2
        assert found["preferences"]["accuracy"]["value"] == 0.5


def test_demonstrations_are_judged_by_their_perplexity(make_config, tmp_path):
    rows = [
        {"prompt": tiny.user(f"{number:02d}?"), "completion": tiny.assistant("yes" * 3)}
        for number in range(24)
    ]
    config = make_config(
        method="sft",
        max_steps=10,
        sample_prompts=0,
        train_file=str(tiny.write_lines(tmp_path / "demonstrations.jsonl", rows)),
        held_out_file=str(tiny.write_lines(tmp_path / "held.jsonl", rows[:12])),
    )
    run(config)
    result = evaluation(config)
    assert result["perplexity"]["of"] == "demonstrations"
    assert result["perplexity"]["after"]["value"] < result["perplexity"]["before"]["value"]
    assert "accuracy" not in result["held_out"]
    assert result["movement"]["chosen"]["fell"]["value"] == 0.0


def test_what_training_costs_on_other_texts_is_told(make_config, tmp_path):
    rows = [
        {"prompt": tiny.user(f"{number:02d}?"), "completion": tiny.assistant("no" * 3)}
        for number in range(12)
    ]
    file = tiny.write_lines(tmp_path / "others.jsonl", rows)
    config = make_config(max_steps=10, demonstrations_file=str(file))
    run(config)
    tax = evaluation(config)["alignment_tax"]
    assert (tax["of"], tax["answers"], tax["tokens"]) == ("demonstrations", 12, 12 * 7)
    assert tax["after"]["value"] > tax["before"]["value"]  # the policy has learned to say yes
    plain = make_config(max_steps=1, output_dir=str(tmp_path / "plain"))
    run(plain)
    assert evaluation(plain)["alignment_tax"] == {}


def test_weighted_demonstrations_have_the_loss_of_their_tokens(make_config, tmp_path):
    """The loss of sft is a mean over tokens; long and heavy answers count for more."""
    rows = [
        {
            "prompt": tiny.user(f"{number:02d}?"),
            "completion": tiny.assistant("yes" + "!" * (number % 5) ** 2),
            "weight": 1 + 4 * (number % 2),
        }
        for number in range(12)
    ]
    held_out = str(tiny.write_lines(tmp_path / "weighted.jsonl", rows))
    config = make_config(method="sft", max_steps=3, evaluate_every=3, held_out_file=held_out)
    run(config)
    result = evaluation(config)
    lines = (Path(config.output_dir) / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line)["metrics"] for line in lines]
    last = [figures for figures in found if "held_out_nll" in figures][-1]
    loss = result["held_out"]["loss"]["value"]
    assert loss == pytest.approx(last["held_out_loss"], rel=1e-4)
    assert loss == pytest.approx(last["held_out_nll"], rel=1e-4)
    perplexity = result["perplexity"]["after"]["value"]
    assert perplexity == pytest.approx(last["held_out_perplexity"], rel=1e-4)


def test_a_reward_model_is_judged_by_accuracy_calibration_and_slices(make_config, tmp_path):
    config = make_config(method="reward_bradley_terry", max_steps=20, learning_rate=1e-2)
    run(config)
    result = evaluation(config)
    assert result["kind"] == "reward"
    assert result["held_out"]["accuracy"]["value"] > 0.7
    calibration = result["calibration"]
    bins = calibration["bins"]
    assert sum(one["count"] for one in bins) == result["held_out"]["pairs"] == 12
    gaps = [abs(one["accuracy"]["value"] - one["confidence"]) * one["count"] for one in bins]
    assert calibration["ece"]["value"] == pytest.approx(sum(gaps) / 12)
    assert {one["by"] for one in result["slices"]} <= {"length", "preferred answer"}
    for told in (result["held_out"], *result["slices"]):
        chosen, rejected = told["chosen_score"]["value"], told["rejected_score"]["value"]
        assert told["reward_margin"]["value"] == pytest.approx(chosen - rejected)
    # Each answer of the 12 pairs is of one side, so that the sides' mean is that of all.
    both = (result["held_out"][f"{side}_score"]["value"] for side in ("chosen", "rejected"))
    assert result["scores"]["mean"] == pytest.approx(sum(both) / 2)
    assert not (Path(config.output_dir) / "samples.jsonl").exists()


def test_nothing_that_was_trained_lies_beside_the_evaluation(make_config, monkeypatch):
    config, alive = make_config(max_steps=1, adapter="lora", dtype="bfloat16"), []
    load = policies.load_trainee

    def loaded(*arguments):
        module = load(*arguments)
        alive.append(weakref.ref(module.model))
        return module

    def evaluated(*_):
        alive.append(alive[0]())

    monkeypatch.setattr(offline, "load_trainee", loaded)
    monkeypatch.setattr("training.alignment.evaluation.evaluate_model", evaluated)
    run(config)
    assert alive[1] is None


def test_a_reward_model_is_judged_in_float32_whatever_the_run_computes_in(make_config, tmp_path):
    config = make_config(method="reward_bradley_terry", dtype="bfloat16", max_steps=3)
    run(config)
    exact = replace(config, dtype="float32", output_dir=str(tmp_path))
    journal = Journal(tmp_path, active=False)
    model, device = Path(config.output_dir) / "model", torch.device("cpu")
    assert evaluate_model(exact, model, tmp_path, device, journal) == evaluation(config)


def test_a_perfect_reward_model_of_unsure_judges_is_always_right():
    """What they agree in is another number, and what ties is no order to be right about."""
    targets = [0.7] * 12 + [0.5] * 4
    examples = [
        Example(str(n), str(n), str(n), "p", SIDES, target, 1.0) for n, target in enumerate(targets)
    ]
    scores = {"chosen": torch.full((16,), 0.85), "rejected": torch.zeros(16)}
    compared = reward.comparisons(scores, examples)
    found = reward.held_out_figures(compared, 0)
    assert (found["pairs"], found["accuracy"]["value"]) == (12, 1.0)
    assert found["expected_agreement"]["value"] == pytest.approx(0.7)
    assert found["chosen_score"]["value"] == pytest.approx(0.85)
    assert found["rejected_score"]["value"] == 0.0
    certain = [replace(one, target=1.0) for one in compared]
    assert "expected_agreement" not in reward.held_out_figures(certain, 0)


def test_slices_by_length_begin_with_the_shortest():
    ids = tuple(range(3, 3 + 48))
    examples = [
        Example(str(n), "", str(n), "p", {"chosen": TokenSequence((1,), ids[: n + 1])}, 1.0, 1.0,
                facts={"source": f"source {n % 2}"})
        for n in reversed(range(48))
    ]  # fmt: skip
    compared = [reward.Comparison(1.0, 0.0, 1.0, 1.0, one, longer=False) for one in examples]
    told = [(one["by"], one["name"]) for one in reward._slices(compared, 0)]
    quarters = [f"{which} quarter" for which in ("shortest", "second", "third", "longest")]
    assert told[:4] == [("length", name) for name in quarters]
    assert told[-2:] == [("source", "source 0"), ("source", "source 1")]


def test_slices_by_tag_are_the_frequent_ones_that_not_all_pairs_have():
    token = TokenSequence((1,), (3,))
    examples = [
        Example(str(n), "", str(n), "p", {"chosen": token}, 1.0, 1.0,
                facts={"tags": ["every", *(f"tag {tag:02}" for tag in range(20) if n > tag)]})
        for n in range(24)
    ]  # fmt: skip
    compared = [reward.Comparison(1.0, 0.0, 1.0, 1.0, one, longer=False) for one in examples]
    told = [one["name"] for one in reward._slices(compared, 0) if one["by"] == "tag"]
    assert told == [f"tag {tag:02}" for tag in range(12)]


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "lists"])
def test_slices_are_told_of_any_file(make_config, tmp_path, kind):
    """Also of lists, which are cut into pairs of other names, and of rows without a name."""
    if kind == "lists":
        held_out = tiny.write_lists(tmp_path / "held.jsonl", 12, offset=24)
    else:
        held_out = tiny.write_pairs(tmp_path / "held.jsonl", 12, offset=24)
    lines = [json.loads(line) for line in held_out.read_text().splitlines()]
    lines = [
        {**line, "id": None, "source": ["a", "b"][place % 2],
         "tags": [["short"], ["short", "odd"], ["odd"]][place % 3]}
        for place, line in enumerate(lines)
    ]  # fmt: skip
    tiny.write_lines(held_out, lines)
    if kind == "parquet":
        held_out = tmp_path / "held.parquet"
        pq.write_table(pa.Table.from_pylist(lines), held_out)
    config = make_config(method="reward_bradley_terry", max_steps=1, held_out_file=str(held_out))
    run(config)
    slices = {(one["by"], one["name"]) for one in evaluation(config)["slices"]}
    assert slices >= {("source", "a"), ("source", "b"), ("tag", "short"), ("tag", "odd")}


def test_a_line_that_was_left_out_is_no_slice_either(make_config):
    config = make_config(method="reward_bradley_terry", max_steps=3, bad_rows="skip")
    with Path(config.held_out_file).open("a") as file:
        file.write("{not json\n")
    run(config)
    assert evaluation(config)["held_out"]["pairs"] == 12


def test_answers_are_compared_by_a_reward_model(make_config, tmp_path, monkeypatch):
    """In float32, also where the policy computed in bfloat16."""
    judge = make_config(
        method="reward_bradley_terry",
        max_steps=20,
        learning_rate=1e-2,
        output_dir=str(tmp_path / "judge"),
    )
    run(judge)
    config = make_config(
        dtype="bfloat16",
        max_steps=10,
        sample_prompts=11,
        sample_max_new_tokens=6,
        evaluation_reward_model=str(tmp_path / "judge" / "model"),
    )
    load, kinds = RewardModelSource.load, []

    def recorded(*arguments, **options):
        kinds.append(options["dtype"])
        return load(*arguments, **options)

    monkeypatch.setattr(RewardModelSource, "load", recorded)
    run(config)
    assert kinds == [torch.float32]
    won = evaluation(config)["win_rate"]
    assert 0 <= won["low"] <= won["value"] <= won["high"] <= 1
    lines = samples(config)
    wins = np.mean([0.5 + 0.5 * np.sign(one["after_score"] - one["before_score"]) for one in lines])
    assert won["value"] == pytest.approx(wins)
    assert won["judge"] == "model"
