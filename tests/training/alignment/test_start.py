"""What a run starts from and is held to: adapters, references, defaults, optimisers."""

import math
from pathlib import Path

import pytest
import torch

from tests.training.alignment import tiny
from tests.training.alignment.conftest import losses, read_metrics
from tests.training.alignment.test_data_kinds import CPU, run
from training.alignment.config import TrainingConfig
from training.alignment.data import DataError
from training.alignment.failures import TrainingError
from training.alignment.journal import Journal
from training.alignment.models import ModelError, load_model, load_tokenizer
from training.alignment.objective import Objective
from training.alignment.offline import make_accelerator
from training.alignment.options import OptionError
from training.alignment.policies import load_policy, load_scorer
from training.alignment.run_data import (
    demonstrations,
    load_data,
    load_examples,
    pretraining_texts,
    sample_prompts_whole,
)
from training.alignment.scoring import score


@pytest.fixture
def adapter(make_config, tmp_path):
    """A LoRA adapter that supervised fine-tuning left behind, and the merged model beside it."""
    config = make_config(
        method="sft",
        adapter="lora",
        lora_rank=4,
        learning_rate=2e-2,
        max_steps=6,
        output_dir=str(tmp_path / "sft"),
    )
    run(config)
    return Path(config.output_dir) / "adapter"


def first_loss(config):
    return losses(config)[1]


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_a_run_from_an_adapter_is_held_to_the_model_with_the_adapter(make_config, adapter, mode):
    """Never silently to the bare base: the first loss would not be ln 2."""
    changes = {"adapter": mode, "lora_rank": 4, "max_steps": 1, "held_out_file": None}
    config = make_config(start_adapter=str(adapter), **changes)
    run(config)
    assert first_loss(config) == pytest.approx(math.log(2), abs=1e-4)


def test_the_bare_base_as_reference_must_be_asked_for(make_config, adapter, model_folder):
    config = make_config(
        start_adapter=str(adapter),
        reference_model=str(model_folder),
        max_steps=1,
        held_out_file=None,
    )
    run(config)
    assert first_loss(config) != pytest.approx(math.log(2), abs=1e-2)


def test_policy_and_reference_start_as_the_merged_model(make_config, adapter):
    config = make_config(start_adapter=str(adapter), adapter="lora")
    merged = load_model(adapter.parent / "model", dtype=torch.float32, device=CPU)
    ids = torch.arange(1, 9)[None]
    expected = merged(ids).logits
    policy = load_policy(config, CPU).model
    reference = load_scorer(config, config.reference, CPU, config.reference_adapter).model
    for model in (policy, reference):
        torch.testing.assert_close(model(ids).logits, expected, atol=1e-5, rtol=1e-4)


def test_the_saved_model_holds_a_small_update_of_a_bfloat16_adapter(make_config, model_folder):
    """Merged in bfloat16, most of an update below half a unit in the last place would vanish."""
    config = make_config(
        adapter="lora", dtype="bfloat16", learning_rate=1e-5, max_steps=2, held_out_file=None
    )
    run(config)
    output = Path(config.output_dir)
    policy = make_config(start_adapter=str(output / "adapter"), adapter="full")
    expected = load_policy(policy, CPU).model.state_dict()
    original = load_model(model_folder, dtype=torch.float32, device=CPU).state_dict()
    saved = load_model(output / "model", dtype=torch.float32, device=CPU).state_dict()
    name = "model.layers.0.mlp.up_proj.weight"
    update = expected[name] - original[name]
    assert 0 < update.abs().max() < 1e-4
    assert (saved[name] - original[name]).norm() == pytest.approx(float(update.norm()), rel=0.05)
    scorer = load_scorer(config, str(output / "model"), CPU, dtype=torch.float32)
    assert torch.equal(scorer.model.state_dict()[name], saved[name])


def test_in_bfloat16_the_reference_has_its_adapter_beside_its_weights(make_config, adapter):
    """As the policy has it: merged, the two would be rounded differently."""
    config = make_config(start_adapter=str(adapter), adapter="lora", dtype="bfloat16")
    tokenizer, objective = load_tokenizer(config.base_model), Objective.from_config(config)
    examples = load_examples(config, objective, tokenizer, config.train_file)[0][:4]
    policy = load_policy(config, CPU)
    reference = load_scorer(config, config.reference, CPU, config.reference_adapter)
    with torch.no_grad():
        found = [score(model.eval(), examples, ["chosen"], CPU) for model in (policy, reference)]
    assert torch.equal(found[0]["chosen"], found[1]["chosen"])


@pytest.mark.parametrize("dropout", [0.3, 0.0])
def test_an_adapter_that_goes_on_has_the_dropout_of_the_run(make_config, adapter, dropout):
    """From 0.0 to 0.3 and, by the folder that this leaves, back again."""
    given = {"method": "sft", "start_adapter": str(adapter), "adapter": "lora"}
    earlier = make_config(**given, lora_dropout=0.3 - dropout)
    folder = adapter.parent / "earlier"
    load_policy(earlier, CPU).model.save_pretrained(folder)
    config = make_config(**given | {"start_adapter": str(folder)}, lora_dropout=dropout)
    model = load_policy(config, CPU).model.train()
    ids = torch.arange(1, 9)[None]
    assert torch.equal(model(ids).logits, model(ids).logits) == (dropout == 0.0)


def test_dropout_on_an_adapter_that_is_its_own_reference_is_refused(make_config, model_folder):
    """The reference is scored without, so that the first loss would not be ln 2."""
    given = {"start_adapter": "somewhere", "adapter": "lora", "lora_dropout": 0.1}
    with pytest.raises(OptionError, match="lora_dropout: must be 0 where an adapter is trained on"):
        make_config(**given)
    for other in ({"method": "simpo"}, {"adapter": "full"}, {"reference_model": "another"}):
        make_config(**given | other)
    make_config(adapter="lora", lora_dropout=0.1)


def test_an_adapter_that_goes_on_is_saved_for_the_same_base(make_config, adapter, model_folder):
    config = make_config(
        start_adapter=str(adapter), adapter="lora", max_steps=2, learning_rate=1e-2
    )
    run(config)
    output = Path(config.output_dir)
    again = make_config(start_adapter=str(output / "adapter"), adapter="full")
    model = load_policy(again, CPU).model
    whole = load_model(output / "model", dtype=torch.float32, device=CPU)
    ids = torch.arange(1, 9)[None]
    torch.testing.assert_close(model(ids).logits, whole(ids).logits, atol=1e-5, rtol=1e-4)


def test_a_folder_that_is_no_adapter_is_named(make_config, model_folder, adapter):
    with pytest.raises(ModelError, match="is not a LoRA adapter"):
        run(make_config(start_adapter=str(model_folder)))
    with pytest.raises(ModelError, match="name its base as base_model"):
        run(make_config(base_model=str(adapter)))


def test_defaults_of_the_method_fill_what_is_left_out():
    given = {"base_model": "m", "train_file": "t", "output_dir": "o"}
    assert TrainingConfig.from_dict({**given, "method": "sft"}).learning_rate == 2e-5
    chosen = TrainingConfig.from_dict({**given, "method": "sft", "learning_rate": 1e-3})
    assert chosen.learning_rate == 1e-3
    assert TrainingConfig.from_dict({**given, "method": "reward_soft_labels"}).soft_labels


@pytest.mark.parametrize("name", ["adamw", "rmsprop", "adafactor", "sgd"])
def test_each_optimiser_learns(make_config, name):
    rate = {"adafactor": 3e-2, "sgd": 3e-2}.get(name, 1e-3)
    config = make_config(
        method="sft", optimizer=name, learning_rate=rate, max_steps=8, held_out_file=None
    )
    run(config)
    found = losses(config)
    assert found[8] < found[1] - 0.3


def test_sequences_longer_than_the_models_positions_are_refused(make_config, tmp_path):
    row = {"prompt": tiny.user("a?"), "completion": tiny.assistant("y" * 300)}
    file = tiny.write_lines(tmp_path / "long.jsonl", [row])
    config = make_config(method="sft", train_file=str(file), max_length=400, held_out_file=None)
    with pytest.raises(OptionError, match="only 256 positions; set max_length to 256"):
        run(config)
    run(make_config(method="sft", train_file=str(file), max_length=256, held_out_file=None))


def test_the_reference_scores_only_rows_that_a_step_will_use(make_config):
    config = make_config(max_steps=2, batch_size=2, gradient_accumulation=1)
    tokenizer, objective = load_tokenizer(config.base_model), Objective.from_config(config)
    accelerator = make_accelerator(CPU)
    journal = Journal(Path(config.output_dir), active=False)
    data = load_data(config, objective, tokenizer, accelerator, journal, lambda count: [5, 1, 5])
    known = ~data.train_reference["chosen"].isnan()
    assert known.nonzero()[:, 0].tolist() == [1, 5]
    scorer = load_scorer(config, config.reference, CPU)
    with torch.no_grad():
        live = score(scorer, [data.train[row] for row in (1, 5)], ["chosen"], CPU)["chosen"]
    torch.testing.assert_close(data.train_reference["chosen"][[1, 5]], live)
    assert not data.held_out_reference["chosen"].isnan().any()


def test_evaluation_takes_a_seeded_sample_of_whole_prompts(make_config, tmp_path):
    rows = [
        {
            "prompt": tiny.user(f"{number // 3:02d}?"),
            "chosen": tiny.assistant("yes"),
            "rejected": tiny.assistant(f"no{number}"),
        }
        for number in range(30)
    ]
    config = make_config(train_file=str(tiny.write_lines(tmp_path / "groups.jsonl", rows)))
    tokenizer, objective = load_tokenizer(config.base_model), Objective.from_config(config)
    found = load_examples(config, objective, tokenizer, config.train_file)[0]
    chosen = {seed: sample_prompts_whole(found, 11, seed) for seed in range(4)}
    for sample in chosen.values():
        assert len(sample) == 9
        keys = {example.prompt_key for example in sample}
        assert len(keys) == 3
        assert sample == [example for example in found if example.prompt_key in keys]
    assert chosen[0] == sample_prompts_whole(found, 11, 0)
    assert len({tuple(example.id for example in sample) for sample in chosen.values()}) > 1
    assert sample_prompts_whole(found, 30, 0) == found
    assert len(sample_prompts_whole(found, 2, 0)) == 3


def test_a_step_without_weight_is_an_error(make_config, monkeypatch):
    monkeypatch.setattr(Objective, "loss_weight", lambda self, example: 0.0)
    with pytest.raises(TrainingError, match="No example of a step has a weight"):
        run(make_config(max_steps=1, held_out_file=None))


def test_beta_dpo_keeps_a_share_and_tells_its_beta(make_config):
    config = make_config(
        method="beta_dpo", max_steps=3, batch_size=5, gradient_accumulation=2, held_out_file=None
    )
    run(config)
    lines = [line["metrics"] for line in read_metrics(config)]
    assert [line["kept_share"] for line in lines] == pytest.approx([0.8] * 3)
    assert lines[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert all(line["step_beta"] > 0 for line in lines)


def test_a_mismatched_answer_needs_positions_too(make_config, tmp_path):
    """Each row fits the model's 256 positions; the long answer to the long question does not."""
    rows = [
        {"prompt": tiny.user("a" * 150), "completion": tiny.assistant("yes"), "label": True},
        {"prompt": tiny.user("b?"), "completion": tiny.assistant("y" * 150), "label": False},
    ]
    file = tiny.write_lines(tmp_path / "far.jsonl", rows)
    long = {"max_length": 400, "max_prompt_length": 200, "held_out_file": None}
    with pytest.raises(OptionError, match="only 256 positions; set max_length to 256"):
        run(make_config(method="kto", train_file=str(file), batch_size=1, **long))


def test_the_evaluations_answers_need_positions_too(make_config):
    long = {"sample_prompts": 2, "sample_max_new_tokens": 250}
    with pytest.raises(OptionError, match=r"sample_max_new_tokens: .* only 256 positions"):
        run(make_config(**long))


def test_prompts_that_only_the_last_evaluation_answers_need_positions_too(make_config, tmp_path):
    """evaluation_limit is about evaluations during training."""
    rows = [
        {
            "prompt": tiny.user(f"{number}" + "a" * (150 * (number == 8))),
            "chosen": tiny.assistant("yes"),
            "rejected": tiny.assistant("no"),
        }
        for number in range(9)
    ]
    file = tiny.write_lines(tmp_path / "far.jsonl", rows)
    config = make_config(
        held_out_file=str(file), evaluation_limit=1, sample_prompts=2, sample_max_new_tokens=100,
        max_length=250, max_prompt_length=200,
    )  # fmt: skip
    with pytest.raises(OptionError, match=r"sample_max_new_tokens: .* only 256 positions"):
        run(config)


@pytest.mark.parametrize(
    ("row", "error", "words"),
    [
        ({"prompt": "a?", "completion": 3}, DataError, "others.jsonl, row 2: .*completion"),
        ({"prompt": "a?", "completion": "y" * 300}, OptionError, "of others.jsonl has 3.* 256"),
    ],
)
def test_demonstrations_of_the_evaluation_are_read_before_training(
    make_config, tmp_path, row, error, words
):
    good = {"prompt": tiny.user("a?"), "completion": tiny.assistant("yes")}
    file = tiny.write_lines(tmp_path / "others.jsonl", [good, row])
    config = make_config(demonstrations_file=str(file), max_length=400)
    with pytest.raises(error, match=words):
        run(config)
    assert not (Path(config.output_dir) / "metrics.jsonl").exists()
    with pytest.raises(DataError, match=r"gone\.jsonl"):
        run(make_config(demonstrations_file=str(tmp_path / "gone.jsonl")))


def test_held_out_pairs_are_read_before_training(make_config, tmp_path):
    pair = {"prompt": "a?", "chosen": "yes", "rejected": "no"}
    file = tiny.write_lines(tmp_path / "others.jsonl", [pair, {**pair, "chosen": 3}])
    with pytest.raises(DataError, match=r"others.jsonl, row 2: field 'chosen'"):
        run(make_config(method="sft", held_out_pairs_file=str(file)))
    with pytest.raises(OptionError, match="held_out_pairs_file: is about policies"):
        make_config(method="reward_bradley_terry", held_out_pairs_file=str(file))


@pytest.mark.parametrize("read", [demonstrations, pretraining_texts])
def test_texts_beside_the_data_are_read_as_the_data_are(make_config, tmp_path, read):
    talk = [*tiny.user("a"), *tiny.assistant("b"), *tiny.user("c"), *tiny.assistant("d")]
    rows = [{"messages": talk}, {"prompt": "a?", "completion": "yes"}, {"prompt": "a?"}]
    file = str(tiny.write_lines(tmp_path / "others.jsonl", rows))
    config = make_config(
        demonstrations_file=file, ptx_file=file, max_length=128, max_prompt_length=96,
        assistant_turns="last", chat_texts=True, bad_rows="skip",
    )  # fmt: skip
    tokenizer = load_tokenizer(config.base_model)
    talk, text = [example.sequences["completion"] for example in read(config, tokenizer)]
    assert tokenizer.decode(talk.completion) == "d<|im_end|>"
    assert "<|im_start|>user\na?<|im_end|>" in tokenizer.decode(text.prompt)


def test_the_evaluation_of_an_online_run_takes_prompts_of_any_data(make_config):
    config = make_config(method="grpo")
    given = Objective.from_config(config), load_tokenizer(config.base_model), config.held_out_file
    assert len(load_examples(config, *given)[0]) == 12
