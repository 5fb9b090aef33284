"""What an online run refuses before its first step, and what a resumed one must find unchanged."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.utils import DistributedType

from tests.training.alignment import tiny
from tests.training.alignment.online_toys import Reward, share_of, sources, write_prompts
from training.alignment.failures import TrainingError
from training.alignment.journal import Journal
from training.alignment.methods import get_method
from training.alignment.models import load_tokenizer
from training.alignment.offline import make_accelerator
from training.alignment.online import train
from training.alignment.online_checks import check_launch
from training.alignment.online_run import checkpoint, prepare, resume
from training.alignment.options import OptionError
from training.alignment.reward_model import load_reward_model, save_reward_model
from training.alignment.rewards.protocol import RewardError
from training.alignment.supervision import StopRequest

CPU = torch.device("cpu")
VOWELS = Reward("vowels", share_of("aeiou"))


@pytest.fixture
def config(make_config, tmp_path):
    def make(method="grpo", **changes):
        values = {
            "train_file": str(write_prompts(tmp_path / "prompts.jsonl", 12)),
            "held_out_file": None, "max_steps": 1, "prompts_per_step": 4, "samples_per_prompt": 2,
            "max_new_tokens": 6, "max_prompt_length": 40, "max_length": 64,
        }  # fmt: skip
        return make_config(method=method, **values | changes)

    return make


def prepared(config, given=None):
    journal = Journal(Path(config.output_dir), active=True)
    return prepare(config, make_accelerator(CPU), journal, given or sources(VOWELS))


@pytest.fixture
def other_vocabulary(tmp_path):
    """A reward model whose tokens are numbered as the policy's and one more."""
    folder = tiny.write_foreign(tmp_path / "foreign")
    model = load_reward_model(folder, dtype=torch.float32, device=CPU)
    save_reward_model(model, load_tokenizer(folder), folder)
    return str(folder)


@pytest.mark.parametrize(("method", "name"), [("ppo", "value_model"), ("grpo", "reference_model")])
def test_a_model_that_reads_token_ids_has_the_policys_vocabulary(
    config, other_vocabulary, method, name
):
    words = f"{name}: foreign has another vocabulary than the policy tiny"
    with pytest.raises(OptionError, match=words):
        prepared(config(method, **{name: other_vocabulary}))


def test_a_reward_model_of_another_vocabulary_gets_the_text(config, other_vocabulary):
    source = {"reward": {"kind": "reward_model", "folders": [other_vocabulary]}}
    assert train(config(reward_sources=source), make_accelerator(CPU), StopRequest())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_new_tokens": 400, "max_length": 500}, r"has \d+ tokens .* 400, .* 256 positions"),
        ({"held_out": True, "sample_prompts": 2, "sample_max_new_tokens": 300},
         "sample_max_new_tokens: .* may have 300, .* only 256 positions"),
    ],
)  # fmt: skip
def test_an_answer_has_positions_for_all_its_tokens(config, tmp_path, changes, words):
    if changes.pop("held_out", False):
        changes["held_out_file"] = str(write_prompts(tmp_path / "held_out.jsonl", 2))
    with pytest.raises(OptionError, match=words):
        prepared(config(**changes))


@pytest.mark.parametrize(
    ("method", "name"), [("grpo", "demonstrations_file"), ("ppo_ptx", "ptx_file")]
)
def test_texts_beside_the_prompts_are_held_to_the_positions(config, tmp_path, method, name):
    row = {"prompt": "a?", "completion": "y" * 300}
    file = tiny.write_lines(tmp_path / "texts.jsonl", [row])
    with pytest.raises(OptionError, match=r"of texts\.jsonl has 3.. tokens, .* only 256 positions"):
        prepared(config(method, **{name: str(file)}, max_length=400))


def test_pairs_of_the_evaluation_are_held_to_the_positions_and_shape_no_number(config, tmp_path):
    pair = {"prompt": "a?", "chosen": "yes", "rejected": "no"}
    file = str(tiny.write_lines(tmp_path / "pairs.jsonl", [pair]))
    assert prepared(config(held_out_pairs_file=file)).identity == prepared(config()).identity
    tiny.write_lines(Path(file), [pair, {**pair, "chosen": "y" * 300}])
    with pytest.raises(OptionError, match=r"of pairs\.jsonl has 3.. tokens, .* only 256 positions"):
        prepared(config(held_out_pairs_file=file, max_length=400))


def test_split_models_cannot_sample():
    with pytest.raises(TrainingError, match="Launch it without --use_fsdp"):
        check_launch(get_method("grpo"), DistributedType.FSDP)
    check_launch(get_method("grpo"), DistributedType.MULTI_GPU)


@pytest.mark.parametrize("asked", [True, False])
def test_gradient_checkpointing_reaches_the_value_model_too(config, asked):
    run = prepared(config("ppo", gradient_checkpointing=asked))
    assert run.policy.model.is_activation_checkpointing is asked
    assert run.critic.model.is_activation_checkpointing is asked


@pytest.fixture
def adapter(config, tmp_path):
    run = prepared(config(adapter="lora", lora_rank=2))
    run.policy.model.save_pretrained(tmp_path / "adapter")
    return str(tmp_path / "adapter")


def refused(config, given=None):
    """What a resumed run of this configuration is said to differ in."""
    with pytest.raises(TrainingError, match="other settings or other contents") as caught:
        resume(prepared(config, given))
    return str(caught.value).partition(": ")[2].partition(". Go on")[0]


def test_a_resumed_run_has_the_contents_of_before(config, tmp_path, adapter):
    first = prepared(config())
    checkpoint(first, 1, {})
    assert resume(prepared(config()))[0] == 1
    moved = tmp_path / "moved.jsonl"
    Path(config().train_file).rename(moved)
    assert resume(prepared(config(train_file=str(moved))))[0] == 1

    assert refused(config(train_file=str(write_prompts(moved, 11)))) == "train_prompts"
    assert refused(config(start_adapter=adapter)) == "reference_model, start_adapter"
    other = tiny.write_model(tmp_path / "other", seed=3)
    assert refused(config(reference_model=str(other))) == "reference_model"
    assert refused(config(temperature=0.5)) == "temperature"
    assert refused(config(), sources(Reward("length", len))) == "reward_sources"


def test_the_prompts_that_are_watched_are_drawn_by_the_seed_from_all(config, tmp_path):
    file = str(write_prompts(tmp_path / "held_out.jsonl", 20))

    def watched(seed):
        run = prepared(config(held_out_file=file, sample_prompts=5, seed=seed))
        return [prompt.text[0]["content"] for prompt in run.held_out]

    first = {f"{number:02d}?" for number in range(5)}
    drawn = watched(0)
    assert len(set(drawn)) == 5
    assert set(drawn) != first
    assert watched(0) == drawn != watched(1)


def with_answers(path, *answers):
    rows = [{"prompt": tiny.user(f"{n}?"), "answer": said} for n, said in enumerate(answers)]
    return str(tiny.write_lines(path, rows))


@pytest.mark.parametrize("where", ["reward_sources", "watch_sources"])
def test_rows_that_a_verifier_cannot_use_are_told_before_the_first_step(config, tmp_path, where):
    number = {"n": {"kind": "verifier", "verifier": "final_number"}}
    given = {"reward_sources": {"short": {"kind": "length"}}, where: number}
    file = with_answers(tmp_path / "bad.jsonl", "4", "N/A", "5", "none")
    journal = Journal(tmp_path, active=True)
    words = (
        r"'n': answers to 2 of 4 prompts cannot be verified; of the first, '1\?', the row's answer "
        r"'N/A' holds no number\. Mend"
    )
    with pytest.raises(RewardError, match=words):
        prepare(config(train_file=file, **given), make_accelerator(CPU), journal, None)


def test_answers_that_are_mended_do_not_bar_a_run_from_going_on(config, tmp_path):
    first = config(train_file=with_answers(tmp_path / "a.jsonl", "4", "N/A", "5", "6"))
    checkpoint(prepared(first), 1, {})
    mended = config(train_file=with_answers(tmp_path / "b.jsonl", "4", "7", "5", "6"))
    assert resume(prepared(mended))[0] == 1


def test_a_checkpoint_that_still_counted_the_facts_is_gone_on_from(config):
    run = prepared(config())
    newer = ("train_prompts", "held_out_prompts")
    older = {name: value for name, value in run.identity.items() if name not in newer}
    digests = {"train_file": "of tokens and facts", "held_out_file": "of none"}
    checkpoint(replace(run, identity=older | digests), 1, {})
    assert resume(prepared(config()))[0] == 1


def test_a_resumed_run_has_the_reward_models_of_before(config, tmp_path, other_vocabulary):
    def given(folder, **changes):
        source = {"kind": "reward_model", "folders": [str(folder)], **changes}
        return config(reward_sources={"reward": source})

    def fresh(made):
        return prepare(made, make_accelerator(CPU), Journal(tmp_path, active=True), None)

    checkpoint(fresh(given(other_vocabulary)), 1, {})
    moved = Path(other_vocabulary).rename(tmp_path / "moved")
    assert resume(fresh(given(moved, batch_size=3)))[0] == 1
    for changed in (given(moved, weight=2.0), given(tiny_reward(tmp_path))):
        with pytest.raises(TrainingError, match="reward_sources"):
            resume(fresh(changed))


def test_a_resumed_run_has_the_tokenizers_of_before(config, tmp_path):
    """A reward model of another tokenizer than the policy's reads the text anew, by its own."""
    folder = tiny_reward(tmp_path)
    source = {"reward": {"kind": "reward_model", "folders": [str(folder)]}}

    def fresh():
        journal = Journal(tmp_path, active=True)
        return prepare(config(reward_sources=source), make_accelerator(CPU), journal, None)

    first = fresh()
    older = {name: value for name, value in first.identity.items() if name != "tokenizers"}
    checkpoint(replace(first, identity=older), 1, {})
    assert resume(fresh())[0] == 1
    checkpoint(first, 2, {})
    assert resume(fresh())[0] == 2
    tiny.byte_tokenizer(template=tiny.CHATML + " ").save_pretrained(folder)
    with pytest.raises(TrainingError, match=r"it reads: tokenizers\. Go on"):
        resume(fresh())


def tiny_reward(tmp_path):
    base = tiny.write_model(tmp_path / "base")
    model = load_reward_model(base, dtype=torch.float32, device=CPU)
    save_reward_model(model, tiny.byte_tokenizer(), tmp_path / "reward")
    return tmp_path / "reward"
