import dataclasses

import numpy as np
import pytest
import torch

from tests.training.alignment import tiny
from tests.training.alignment.rewards.rollouts import rollout
from training.alignment.batches import collate
from training.alignment.online_run import build_sources
from training.alignment.policies import load_policy
from training.alignment.reward_model import RewardScorer, load_reward_model, save_reward_model
from training.alignment.rewards.protocol import RewardError
from training.alignment.rewards.reward_models import RewardModelSource
from training.alignment.tokenization import TokenSequence

CPU = torch.device("cpu")
ANSWERS = [rollout("yes"), rollout("no, never ever"), rollout("b", "another?")]


def reward_model(folder, seed):
    model = load_reward_model(
        tiny.write_model(folder / f"base-{seed}", seed=seed), dtype=torch.float32, device=CPU
    )
    with torch.no_grad():
        model.score.weight.mul_(10)
    save_reward_model(model, tiny.byte_tokenizer(), folder / f"reward-{seed}")
    return folder / f"reward-{seed}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rewards")
    return [reward_model(folder, seed) for seed in range(3)]


def load(folders, **options):
    tokenizer = options.pop("tokenizer", tiny.byte_tokenizer())
    return RewardModelSource.load(folders, tokenizer, dtype=torch.float32, device=CPU, **options)


@torch.no_grad()
def alone(folder, item):
    model = load_reward_model(folder, dtype=torch.float32, device=CPU)
    batch = collate([TokenSequence(item.prompt, item.completion)], CPU)
    return float(RewardScorer(model)(*batch))


def test_a_reward_is_the_models_score(folders):
    rewards = load(folders[:1], batch_size=2)(ANSWERS)
    expected = [alone(folders[0], item) for item in ANSWERS]
    np.testing.assert_allclose(rewards, expected, atol=1e-4)
    assert np.ptp(expected) > 0.01


def test_an_ensemble_is_combined_as_asked(folders):
    scores = np.array([[alone(folder, item) for item in ANSWERS] for folder in folders])
    expected = {
        "mean": scores.mean(0),
        "min": scores.min(0),
        "uncertainty": scores.mean(0) - 0.5 * ((scores - scores.mean(0)) ** 2).mean(0),
    }
    for combine, values in expected.items():
        weight = {"uncertainty_weight": 0.5} if combine == "uncertainty" else {}
        source = load(folders, combine=combine, **weight)
        np.testing.assert_allclose(source(ANSWERS), values, atol=1e-4)


def test_another_tokenizer_gets_the_text(folders):
    other = tiny.byte_tokenizer(bos=True)
    foreign = [rollout("yes", tokenizer=other), rollout("b", "another?", tokenizer=other)]
    source = load(folders[:1], tokenizer=tiny.byte_tokenizer(template=tiny.CHATML + " "))
    np.testing.assert_allclose(
        source(foreign), [alone(folders[0], ANSWERS[0]), alone(folders[0], ANSWERS[2])], atol=1e-4
    )


def foreign(folders):
    return load(folders[:1], tokenizer=tiny.byte_tokenizer(template=tiny.CHATML + " "))


def test_another_tokenizer_is_told_of_the_tools(folders):
    template = "{% for tool in tools or [] %}{{ tool.name }} {% endfor %}" + tiny.CHATML
    tiny.byte_tokenizer(template=template).save_pretrained(folders[0])
    source = load(folders[:1])
    plain, told = source([rollout("yes"), rollout("yes", tools=[{"name": "weather"}])])
    assert plain != told


def test_another_tokenizer_does_not_end_what_was_cut(folders):
    whole = rollout("yes")
    cut = dataclasses.replace(whole, finish_reason="length")
    unended = dataclasses.replace(whole, completion=whole.completion[:-1])
    expected = [alone(folders[0], item) for item in (whole, unended)]
    np.testing.assert_allclose(foreign(folders)([whole, cut]), expected, atol=1e-4)
    assert abs(expected[0] - expected[1]) > 0.01


@pytest.mark.parametrize(("prompt", "text"), [("w" * 900, "yes"), ("why?", "y" * 900)])
def test_what_is_too_long_is_cut_to_the_models_positions(folders, prompt, text):
    model = load_reward_model(folders[0], dtype=torch.float32, device=CPU)
    longest = model.config.max_position_embeddings
    item = rollout(text, prompt)
    completion = item.completion[: longest - 1]
    kept = item.prompt[-(longest - len(completion)) :]
    cut = dataclasses.replace(item, prompt=kept, completion=completion)
    assert len(item.prompt) + len(item.completion) > longest == len(kept) + len(completion)
    for source in (foreign(folders), load(folders[:1])):
        np.testing.assert_allclose(source([item]), [alone(folders[0], cut)], atol=1e-4)


def test_a_language_model_is_no_reward_model(model_folder):
    with pytest.raises(RewardError, match="no scalar head"):
        load([model_folder])


def test_no_model_and_an_unknown_combination_are_refused(folders):
    with pytest.raises(RewardError):
        load([])
    with pytest.raises(RewardError):
        load(folders[:1], combine="median")


def test_a_weight_that_would_not_count_is_refused(folders):
    with pytest.raises(RewardError, match="uncertainty_weight: needs a weight above 0"):
        load(folders, combine="uncertainty")
    with pytest.raises(RewardError, match="uncertainty_weight: 2 is only for combine uncertainty"):
        load(folders, combine="min", uncertainty_weight=2.0)


def test_rewards_are_float32_whatever_the_run_computes_in(make_config, folders):
    def source(**settings):
        settings = {"kind": "reward_model", "folders": [str(folders[0])], **settings}
        made = make_config(method="grpo", dtype="bfloat16", reward_sources={"reward": settings})
        return build_sources(made, load_policy(made, CPU), tiny.byte_tokenizer()).rewards

    expected = [alone(folders[0], item) for item in ANSWERS]
    np.testing.assert_allclose(source()(ANSWERS), expected, atol=1e-5)
    rounded = source(dtype="bfloat16")(ANSWERS) - expected
    assert 1e-4 < np.abs(rounded).max() < 0.1 * np.ptp(expected)
