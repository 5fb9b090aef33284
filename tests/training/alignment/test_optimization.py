"""The fused optimiser makes the steps of the plain one."""

import pytest
import torch

from tests.training.alignment import tiny
from training.alignment.optimization import learning_rate, make_optimizer

STEPS = 3


def trained(config, make):
    """An optimiser, and the tiny model's weights after its few steps."""
    model = tiny.llama()
    optimizer = make(model.parameters())
    ids = torch.arange(96).reshape(4, 24)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step, STEPS)
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return optimizer, dict(model.named_parameters())


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_fused_steps_are_the_plain_ones(make_config, weight_decay):
    config = make_config(
        weight_decay=weight_decay, warmup_steps=1, adam_beta1=0.8, adam_beta2=0.99,
        adam_epsilon=1e-6,
    )  # fmt: skip

    def plain(parameters):
        return torch.optim.AdamW(
            parameters, lr=0.0, betas=(0.8, 0.99), eps=1e-6, weight_decay=weight_decay,
            fused=False, foreach=False,
        )  # fmt: skip

    ours, found = trained(config, lambda parameters: make_optimizer(config, parameters))
    assert ours.param_groups[0]["fused"]
    _, expected = trained(config, plain)
    before = dict(tiny.llama().named_parameters())
    assert max((found[name] - before[name]).abs().max() for name in found) > config.learning_rate
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-6, rtol=0.0)
