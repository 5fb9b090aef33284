import json
import math
from inspect import signature
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState
from safetensors.torch import load_file

from tests.training.alignment import tiny
from tests.training.alignment.conftest import losses, read_metrics
from training.alignment import metrics, policies
from training.alignment.failures import TrainingError
from training.alignment.losses import dpo_loss
from training.alignment.models import ModelError, load_model, load_tokenizer
from training.alignment.offline import make_accelerator
from training.alignment.optimization import learning_rate
from training.alignment.options import OptionError
from training.alignment.reference import reference_log_probs
from training.alignment.scoring import score
from training.alignment.tokenization import Example
from training.alignment.train import run

PAIR_METRICS = {
    "loss",
    "reward_margin",
    "accuracy",
    "chosen_reward",
    "rejected_reward",
    "chosen_log_probability",
    "rejected_log_probability",
    "log_ratio_chosen",
    "log_ratio_rejected",
    "learning_rate",
    "grad_norm",
    "seconds_per_step",
}


def held_out(config):
    lines = [line["metrics"] for line in read_metrics(config)]
    return [metrics for metrics in lines if "held_out_loss" in metrics]


def test_dpo_learns_the_preference_and_tells_it(make_config):
    config = make_config(max_steps=12)
    assert run(config) == 0
    lines = read_metrics(config)
    steps = [line for line in lines if "loss" in line["metrics"]]
    assert [line["step"] for line in steps] == list(range(1, 13))
    assert {line["total_steps"] for line in lines} == {12}
    assert set(steps[0]["metrics"]) == PAIR_METRICS
    assert steps[0]["metrics"]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    first, last = held_out(config)[0], held_out(config)[-1]
    assert last["held_out_loss"] < first["held_out_loss"] - 0.1
    assert last["held_out_reward_margin"] > 0.5
    assert last["held_out_accuracy"] == 1.0


def test_a_finished_run_leaves_what_the_platform_reads(make_config):
    config = make_config(max_steps=2)
    run(config)
    output = Path(config.output_dir)
    assert not (output / "checkpoints").exists()
    assert json.loads((output / "progress.json").read_text())["phase"] == "done"
    assert json.loads((output / "run.json").read_text())["max_steps"] == 2
    assert json.loads((output / "data_report.json").read_text())["train"]["examples"] == 24
    assert (output / "result.json").exists()
    tokenizer = load_tokenizer(output / "model")
    model = load_model(output / "model", dtype=torch.float32, device=torch.device("cpu"))
    assert tokenizer.chat_template
    assert model.config.vocab_size == 259


def test_a_finished_run_is_not_run_again(make_config, capsys):
    config = make_config(max_steps=1, kl_budget=3.0)
    run(config)
    assert "dpo does not look at kl_budget." in capsys.readouterr().out
    before = (Path(config.output_dir) / "metrics.jsonl").read_text()
    assert run(config) == 0
    assert (Path(config.output_dir) / "metrics.jsonl").read_text() == before
    assert "done already" in capsys.readouterr().out


def test_a_finished_run_is_not_taken_for_another(make_config):
    run(make_config(max_steps=1))
    with pytest.raises(TrainingError, match=r"with other settings: learning_rate, method\."):
        run(make_config(max_steps=1, method="ipo", learning_rate=0.5))
    with pytest.raises(TrainingError, match=r"with other settings: train_file\."):
        run(make_config(max_steps=1, train_file="another.jsonl"))
    assert run(make_config(max_steps=1, reference_cache="elsewhere")) == 0


def test_kto_learns_from_thumbs(make_config):
    config = make_config(method="kto", max_steps=12, hyperparameters={"desirable_weight": 1.2})
    run(config)
    steps = [line["metrics"] for line in read_metrics(config) if "loss" in line["metrics"]]
    # Four examples a step: the first loss is the mean of half their weights.
    assert steps[0]["loss"] in [pytest.approx(0.5 + 0.1 * good / 4, abs=1e-4) for good in range(5)]
    assert steps[0]["reference_point"] == pytest.approx(0.0, abs=1e-4)
    assert held_out(config)[-1]["held_out_accuracy"] == 1.0
    assert held_out(config)[-1]["held_out_loss"] < 0.45


def test_lists_train_dpo_through_their_pairs(make_config, tmp_path):
    rows = [
        {
            "prompt": tiny.user(f"{number}?"),
            "completions": [tiny.assistant(text) for text in ("no", "yes", "eh")],
            "ranks": [2, 1, 2],
        }
        for number in range(8)
    ]
    file = tiny.write_lines(tmp_path / "lists.jsonl", rows)
    config = make_config(train_file=str(file), max_steps=8)
    run(config)
    report = json.loads((Path(config.output_dir) / "data_report.json").read_text())
    assert (report["train"]["examples"], report["train"]["ties_dropped"]) == (16, 8)
    assert held_out(config)[-1]["held_out_reward_margin"] > 0.1


@pytest.mark.parametrize("longest", ["train_file", "held_out_file"])
def test_the_longest_list_may_be_on_one_side_only(make_config, tmp_path, longest):
    """The reference of both sides is scored at once; batches and sides have widths of their own."""
    answers = [tiny.assistant(text) for text in ("yes", "eh", "no", "never")]
    short = {"completions": answers[:2], "ranks": [1, 2]}
    rows = {
        side: [{"prompt": tiny.user(f"{side}{number}?"), **short} for number in range(8)]
        for side in ("train_file", "held_out_file")
    }
    rows[longest][-1] |= {"completions": answers, "ranks": [1, 2, 3, 4]}
    files = {side: str(tiny.write_lines(tmp_path / side, lines)) for side, lines in rows.items()}
    config = make_config(method="dpo_pl", max_steps=2, **files)
    run(config)
    assert held_out(config)


def test_a_soft_tie_pulls_the_margin_back(make_config, tmp_path):
    rows = [
        {
            "prompt": tiny.user(f"{number}?"),
            "chosen": tiny.assistant("yes"),
            "rejected": tiny.assistant("no"),
            "probability": 0.5,
        }
        for number in range(8)
    ]
    file = tiny.write_lines(tmp_path / "ties.jsonl", rows)
    config = make_config(train_file=str(file), soft_labels=True, max_steps=6)
    run(config)
    assert abs(held_out(config)[-1]["held_out_reward_margin"]) < 0.05


def test_soft_labels_need_a_loss_that_takes_them(make_config):
    with pytest.raises(OptionError, match="takes no soft labels"):
        run(make_config(method="kto", soft_labels=True))


def test_micro_batches_do_not_change_the_numbers(make_config, tmp_path):
    whole = make_config(batch_size=4, gradient_accumulation=1)
    parts = make_config(batch_size=1, gradient_accumulation=4, output_dir=str(tmp_path / "parts"))
    run(whole)
    run(parts)
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-4)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_a_micro_batch_may_take_several_passes(make_config, monkeypatch, tmp_path, method):
    sizes: list[int] = []

    def counted(model, examples, *rest):
        sizes.append(len(examples))
        return score(model, examples, *rest)

    monkeypatch.setattr("training.alignment.offline.score", counted)
    settings = {"method": method, "batch_size": 4, "gradient_accumulation": 1}
    whole = make_config(**settings)
    run(whole)
    assert set(sizes) == {4}
    sizes.clear()
    parts = make_config(**settings, pass_tokens=1, output_dir=str(tmp_path / "parts"))
    run(parts)
    assert 1 in sizes
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-4)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_lora_trains_the_adapter_alone_and_is_merged(make_config, model_folder, method):
    config = make_config(
        method=method, adapter="lora", lora_rank=4, learning_rate=2e-2, max_steps=10
    )
    run(config)
    output = Path(config.output_dir)
    assert held_out(config)[-1]["held_out_accuracy"] == 1.0
    base = load_file(model_folder / "model.safetensors")
    merged = load_file(output / "model" / "model.safetensors")
    assert base.keys() == merged.keys()
    changed = {name for name in base if not torch.equal(base[name], merged[name])}
    assert changed == {name for name in base if "_proj." in name}
    assert (output / "adapter" / "adapter_model.safetensors").exists()


def test_bfloat16_compute_keeps_float32_weights(make_config):
    config = make_config(dtype="bfloat16", max_steps=2)
    run(config)
    weights = load_file(Path(config.output_dir) / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


@pytest.mark.parametrize("method", ["dpo", "reward_bradley_terry"])
def test_lora_in_bfloat16_saves_the_base_as_its_folder_has_it(make_config, model_folder, method):
    config = make_config(
        method=method, dtype="bfloat16", adapter="lora", lora_rank=4, learning_rate=0.0, max_steps=1
    )
    run(config)
    base = load_file(model_folder / "model.safetensors")
    saved = load_file(Path(config.output_dir) / "model" / "model.safetensors")
    assert any(not torch.equal(value, value.bfloat16().float()) for value in base.values())
    kept = [name for name in base if name in saved]
    assert len(kept) > 10
    assert all(torch.equal(saved[name], base[name]) for name in kept)


def test_lora_in_bfloat16_is_held_to_the_rounded_base(make_config, model_folder, tmp_path):
    config = make_config(dtype="bfloat16", adapter="lora", max_steps=1)
    run(config)
    rounded = load_model(model_folder, dtype=torch.bfloat16, device=torch.device("cpu")).float()
    rounded.save_pretrained(tmp_path / "rounded")
    load_tokenizer(model_folder).save_pretrained(tmp_path / "rounded")
    other = make_config(
        dtype="bfloat16", adapter="lora", max_steps=1, output_dir=str(tmp_path / "other"),
        reference_model=str(tmp_path / "rounded"),
    )  # fmt: skip
    run(other)
    assert losses(config) == losses(other)


def test_gradient_checkpointing_gives_the_same_numbers(make_config, tmp_path):
    plain = make_config(max_steps=3)
    frugal = make_config(
        max_steps=3, gradient_checkpointing=True, output_dir=str(tmp_path / "frugal")
    )
    run(plain)
    run(frugal)
    assert losses(frugal) == pytest.approx(losses(plain), rel=1e-5)


def test_another_reference_than_the_base_is_used(make_config, tmp_path):
    other = tiny.write_model(tmp_path / "other", seed=7)
    config = make_config(reference_model=str(other), max_steps=1)
    run(config)
    assert losses(config)[1] != pytest.approx(math.log(2), abs=1e-2)


def scale_reference(monkeypatch, factor):
    """Have every reference loaded with a layer's weights multiplied."""
    honest, load_scorer = load_model, policies.load_scorer

    def wrong(folder, **options):
        model = honest(folder, **options)
        with torch.no_grad():
            model.model.layers[0].mlp.up_proj.weight.mul_(factor)
        return model

    def scorer(*arguments):
        monkeypatch.setattr(policies, "load_model", wrong)
        result = load_scorer(*arguments)
        monkeypatch.setattr(policies, "load_model", honest)
        return result

    monkeypatch.setattr("training.alignment.run_data.load_scorer", scorer)


def test_a_steep_penalty_may_start_from_rounded_log_probabilities(make_config, monkeypatch):
    """DPOP multiplies a fall by beta times fifty, and with it what bfloat16 rounds."""

    def rounded(*arguments, **options):
        values = reference_log_probs(*arguments, **options)
        return {role: part.bfloat16().float() for role, part in values.items()}

    monkeypatch.setattr("training.alignment.run_data.reference_log_probs", rounded)
    config = make_config(method="dpop", dtype="bfloat16", batch_size=8, max_steps=1)
    run(config)
    assert losses(config)[1] > math.log(2) + 0.05  # more than a loss without penalty may differ


@pytest.mark.parametrize(("dtype", "factor"), [("float32", 1.5), ("bfloat16", 3.0)])
@pytest.mark.parametrize("method", ["dpo", "ipo", "kto", "dpo_pl", "beta_dpo", "dpop"])
def test_a_policy_that_is_not_the_reference_is_caught_at_the_first_step(
    make_config, monkeypatch, method, dtype, factor
):
    """A wrong adapter, mask or cache shows in the very first loss."""
    scale_reference(monkeypatch, factor)
    config = make_config(method=method, dtype=dtype, max_steps=1)
    with pytest.raises(TrainingError, match=r"The first loss is|log-probabilities differ"):
        run(config)


def test_the_first_loss_is_checked_where_a_penalty_is_left_out(make_config, monkeypatch):
    """The margin that is wrong by a nat, though no answer's log-probability drifts far."""
    moved = metrics.moved

    def wrong(reference, rows):
        policy = moved(reference, rows)
        return {**policy, "chosen": policy["chosen"] + 1.0}

    monkeypatch.setattr(metrics, "moved", wrong)
    with pytest.raises(TrainingError, match="The first loss is"):
        run(make_config(method="dpop", max_steps=1))


def test_a_gradient_that_is_not_finite_stops_the_run(make_config, monkeypatch):
    def broken(*arguments, **options):
        output = dpo_loss(*arguments, **options)
        return output._replace(losses=output.losses + (0.0 * output.losses).sqrt())

    monkeypatch.setattr("training.alignment.losses.dpo_loss", broken)
    monkeypatch.setattr(broken, "__signature__", signature(dpo_loss), raising=False)
    with pytest.raises(TrainingError, match="not finite at step 1"):
        run(make_config())


def test_a_folder_of_pickles_is_refused(make_config, tmp_path, model_folder):
    folder = tmp_path / "pickled"
    folder.mkdir()
    for file in model_folder.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="has no safetensors file"):
        run(make_config(base_model=str(folder)))


def test_a_model_with_code_of_its_own_is_refused(make_config, tmp_path):
    folder = tiny.write_model(tmp_path / "auto")
    settings = json.loads((folder / "config.json").read_text())
    settings["auto_map"] = {"AutoModelForCausalLM": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="auto_map"):
        run(make_config(base_model=str(folder)))


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1.0, 1.0, 0.8536, 0.5, 0.1464]),
        ("inverse_sqrt", [0.5, 1.0, 0.8165, 0.7071, 0.6325, 0.5774]),
    ],
)
def test_schedules(make_config, schedule, rates):
    config = make_config(schedule=schedule, learning_rate=1.0, warmup_steps=2)
    assert [learning_rate(config, step, 6) for step in range(6)] == pytest.approx(rates, abs=1e-4)


@pytest.fixture
def _fresh_state():
    """What an accelerator keeps for the whole process."""

    def reset():
        AcceleratorState._reset_state()
        GradientState._reset_state()

    reset()
    yield
    reset()


@pytest.mark.usefixtures("_fresh_state")
def test_what_a_launcher_is_configured_with_changes_no_number(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    accelerator = make_accelerator(torch.device("cpu"))
    assert accelerator.mixed_precision == "no"
    loss = torch.ones(1, requires_grad=True)
    accelerator.backward(loss.sum())
    assert loss.grad == 1.0


@pytest.mark.parametrize("engine", ["DEEPSPEED", "MEGATRON_LM"])
def test_an_engine_that_would_take_the_loops_place_is_refused(monkeypatch, engine):
    monkeypatch.setenv(f"ACCELERATE_USE_{engine}", "true")
    with pytest.raises(TrainingError, match=r"launched with .* Launch it without"):
        make_accelerator(torch.device("cpu"))


def test_lengths_are_looked_at_once_however_many_steps_there_are(
    make_config, monkeypatch, tmp_path
):
    """Of a million pairs, each look takes a second; KTO has a statistic of each step too."""
    looked, measure = [], Example.__len__
    monkeypatch.setattr(Example, "__len__", lambda one: looked.append(1) or measure(one))
    counts = []
    for steps in (2, 5):
        folder = str(tmp_path / str(steps))
        run(make_config(method="kto", max_steps=steps, held_out_file=None, output_dir=folder))
        counts.append(len(looked))
        looked.clear()
    assert counts[0] == counts[1] > 0
