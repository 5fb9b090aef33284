"""A value for each token, read before the token is known."""

import torch

from tests.training.alignment.test_reward_model import CPU, sequences
from training.alignment.batches import collate
from training.alignment.models import load_tokenizer
from training.alignment.value_model import ValueScorer, load_value_model, save_value_model


@torch.no_grad()
def values(model, items):
    return ValueScorer(model)(*collate(items, CPU))


def load(folder):
    return load_value_model(folder, dtype=torch.float32, device=CPU)


def test_there_is_a_value_for_each_completion_token_in_order(model_folder):
    model, items = load(model_folder), sequences()
    together = values(model, items)
    assert len(together) == sum(len(item.completion) for item in items)
    alone = torch.cat([values(model, [item]) for item in items])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_a_value_does_not_see_the_token_it_is_for(model_folder):
    model, item = load(model_folder), sequences()[1]
    batch = collate([item], CPU)
    before = ValueScorer(model)(*batch)
    changed = batch.input_ids.clone()
    place = len(item.prompt) + 3
    changed[0, place] = (changed[0, place] + 1) % 250
    after = ValueScorer(model)(changed, batch.completion_mask)
    torch.testing.assert_close(before[:4], after[:4])
    assert not torch.allclose(before[4:], after[4:])


def test_a_critic_may_start_from_a_reward_model(model_folder, tmp_path):
    model = load(model_folder)
    save_value_model(model, load_tokenizer(model_folder), tmp_path / "value")
    assert torch.equal(values(load(tmp_path / "value"), sequences()), values(model, sequences()))
