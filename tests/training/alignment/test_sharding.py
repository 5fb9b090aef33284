"""When a run is sharded, and what that refuses. That it computes the same: test_two_processes."""

import pytest
import torch
from torch import nn

from training.alignment.failures import TrainingError
from training.alignment.offline import make_accelerator
from training.alignment.options import OptionError
from training.alignment.sharding import distribute, is_sharded, shards, whole_weights

CPU = torch.device("cpu")


def test_one_process_shards_nothing(make_config):
    accelerator = make_accelerator(CPU)
    assert not shards(make_config(shard=True), accelerator)
    module = nn.Linear(2, 2)
    assert not is_sharded(distribute(module, accelerator, shard=False))
    module.bias.requires_grad_(False)
    assert list(whole_weights(module)) == ["weight"]


def test_adafactor_does_not_go_with_shards(make_config):
    with pytest.raises(TrainingError, match="choose the optimizer adamw"):
        shards(make_config(shard=True, optimizer="adafactor"), make_accelerator(CPU))


def test_methods_that_sample_are_not_sharded(make_config):
    with pytest.raises(OptionError, match="sample while they train"):
        make_config(method="grpo", shard=True)
