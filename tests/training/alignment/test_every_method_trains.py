"""The offline loop with every method of the registry, on a tiny model: the loss falls."""

import pytest
import torch

from tests.training.alignment.conftest import read_metrics
from training.alignment.methods import methods
from training.alignment.offline import make_accelerator, train
from training.alignment.supervision import StopRequest

OFFLINE = [method for method in methods() if method.loop == "offline"]


def held_out_metrics(config):
    assert train(config, make_accelerator(torch.device("cpu")), StopRequest())
    lines = [line["metrics"] for line in read_metrics(config)]
    return [line for line in lines if "held_out_loss" in line]


@pytest.mark.parametrize("method", OFFLINE, ids=lambda method: method.name)
def test_the_held_out_loss_falls(make_config, method):
    soft = bool(method.defaults.get("soft_labels", False))
    config = make_config(method=method.name, soft_labels=soft, max_steps=4)
    held_out = held_out_metrics(config)
    assert held_out[-1]["held_out_loss"] < held_out[0]["held_out_loss"]
    if "held_out_accuracy" in held_out[0] and method.trains == "policy":
        assert held_out[-1]["held_out_accuracy"] > 0.5
