"""A scalar head at the last real token, in a folder that other tools load."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from tests.training.alignment import tiny
from training.alignment.batches import collate
from training.alignment.models import ModelError, load_tokenizer
from training.alignment.reward_model import (
    RewardScorer,
    is_reward_model,
    load_reward_model,
    save_reward_model,
    scalar_head,
    set_score_shift,
)
from training.alignment.tokenization import TokenSequence, encode_completion, encode_prompt

CPU = torch.device("cpu")


def load(folder, **options):
    return load_reward_model(folder, dtype=torch.float32, device=CPU, **options)


def sequences():
    tokenizer = tiny.byte_tokenizer()
    prompt = tiny.user("why?")
    return [
        TokenSequence(
            encode_prompt(prompt, tokenizer),
            encode_completion(prompt, tiny.assistant(text), tokenizer),
        )
        for text in ("yes", "no, never", "a")
    ]


@torch.no_grad()
def scores(model, items):
    return RewardScorer(model)(*collate(items, CPU))


def test_a_score_is_the_head_at_the_last_real_token(model_folder):
    model = load(model_folder)
    for sequence, value in zip(sequences(), scores(model, sequences()), strict=True):
        ids = torch.tensor(np.concatenate([sequence.prompt, sequence.completion])[None])
        hidden = model.model(ids.long()).last_hidden_state[0, -1]
        torch.testing.assert_close(value, model.score(hidden)[0].detach())


def test_padding_does_not_change_a_score(model_folder):
    model, items = load(model_folder), sequences()
    alone = torch.cat([scores(model, [item]) for item in items])
    torch.testing.assert_close(scores(model, items), alone, atol=1e-6, rtol=1e-5)


def test_transformers_alone_gives_the_same_scores_from_the_folder(model_folder, tmp_path):
    """Its forward looks for the last token that is not padding, and ours ends with EOS."""
    model, items = load(model_folder), sequences()
    save_reward_model(model, load_tokenizer(model_folder), tmp_path / "reward")
    other = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward").eval()
    assert other.config.num_labels == 1
    batch = collate(items, CPU)
    ids = batch.input_ids.clone()
    for row, item in enumerate(items):
        ids[row, len(item) :] = load_tokenizer(tmp_path / "reward").pad_token_id
    torch.testing.assert_close(other(input_ids=ids).logits[:, 0].detach(), scores(model, items))
    again = load(tmp_path / "reward")
    torch.testing.assert_close(scores(again, items), scores(model, items))


def test_a_new_head_is_small_and_follows_the_seed(model_folder):
    first, again, other = (load(model_folder, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(scalar_head(first).weight, scalar_head(again).weight)
    assert not torch.equal(scalar_head(first).weight, scalar_head(other).weight)
    assert float(scalar_head(first).weight.detach().std()) == pytest.approx(0.1 * 33**-0.5, rel=0.4)


def test_a_shift_moves_all_scores_and_survives_saving(model_folder, tmp_path):
    model, items = load(model_folder), sequences()
    before = scores(model, items)
    set_score_shift(model, float(before.mean()))
    save_reward_model(model, load_tokenizer(model_folder), tmp_path / "reward")
    after = scores(load(tmp_path / "reward"), items)
    torch.testing.assert_close(after, before - before.mean())
    set_score_shift(model, 1.0)
    torch.testing.assert_close(scores(model, items), before - before.mean() - 1.0)


def test_a_classifier_of_many_labels_is_no_reward_model(model_folder, tmp_path):
    classifier = AutoModelForSequenceClassification.from_pretrained(model_folder, num_labels=2)
    classifier.save_pretrained(tmp_path / "classifier")
    with pytest.raises(ModelError, match="2 labels"):
        load(tmp_path / "classifier")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    missing = tmp_path / "gone"
    with pytest.raises(ModelError, match=f"{missing}: there is no such folder"):
        is_reward_model(missing)
    with pytest.raises(ModelError, match=rf"{tmp_path}: is not a model folder, it has no config\."):
        is_reward_model(tmp_path)


def test_computing_in_bfloat16_keeps_scores_float32(model_folder):
    scorer = RewardScorer(load(model_folder), torch.bfloat16)
    values = scorer(*collate(sequences(), CPU))
    assert values.dtype is torch.float32
    torch.testing.assert_close(
        values, RewardScorer(load(model_folder))(*collate(sequences(), CPU)), atol=0.02, rtol=0.05
    )
