"""What holds for the numbers of every online method, generated over the registry."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from training.alignment.losses.policy_gradient import token_weights
from training.alignment.methods import Method, methods, parse_hyperparameters
from training.alignment.online_run import call
from training.alignment.options import Option, describe_options

every_method = pytest.mark.parametrize(
    "method", [one for one in methods() if one.loop == "online"], ids=lambda one: one.name
)
PER_PROMPT, LENGTHS = 3, (3, 2, 3, 3, 2, 3)
MASK = torch.arange(3)[None, :] < torch.tensor(LENGTHS)[:, None]
# What the loop itself looks at; each has tests of its own.
LOOP = {"epochs_per_batch", "mini_batches", "ptx_coefficient", "ptx_examples"}


def measured(seed: int) -> dict[str, Any]:
    """What a step is learned from, at random; five or six nats an answer from the reference."""
    generator = np.random.default_rng(seed)

    def noise(mean: float, scale: float) -> Tensor:
        return torch.from_numpy(generator.normal(mean, scale, MASK.shape))

    old = noise(-1.0, 0.3)
    return {
        "mask": MASK,
        "old_logps": old,
        "policy_logps": old + noise(0.0, 0.5),
        "reference_logps": old - 2.0 + noise(0.0, 0.1),
        "old_values": noise(0.0, 1.0),
        "values": noise(0.0, 1.0),
        "entropies": noise(0.0, 1.0).exp(),
        "scores": torch.from_numpy(generator.normal(size=len(LENGTHS))),
    }


def losses(
    method: Method,
    hyperparameters: Mapping[str, Any],
    *,
    order: Sequence[int] = range(len(LENGTHS)),
    padding: float = 0.0,
) -> Tensor:
    """Weighted losses [b, t] of a third step, for some settings show only in a later one."""
    statistic = method.load_step_statistic()
    assert statistic is not None
    available: dict[str, Any] = {}
    for seed in range(3):
        step = {name: value[list(order)] for name, value in measured(seed).items()}
        there = step["mask"]
        for number, (name, value) in enumerate(step.items()):
            if value.shape == there.shape and name != "mask":
                step[name] = value.masked_fill(~there, padding * number)
        given = {"per_prompt": PER_PROMPT, "state": available.get("state", {})}
        available = {**step, **given, **hyperparameters}
        available |= call(statistic, available)
    weights = token_weights(there, hyperparameters["reduction"], max_length=4)
    weighted: Tensor = call(method.load_loss(), available).losses * weights
    return weighted


def others(option: Option, value: Any) -> list[Any]:
    if option.choices:
        return [choice for choice in option.choices if choice != value]
    return [not value] if option.type is bool else [value / 2 + 0.2]


def settings(method: Method) -> Iterator[dict[str, Any]]:
    """The defaults, and each with one choice changed or one number set to nothing."""
    defaults = asdict(parse_hyperparameters(method, {}))
    yield defaults
    for option in describe_options(method.hyperparameters):
        named = option.choices or option.type is bool
        changed = others(option, option.default) if named else [0.0] * (option.min == 0.0)
        yield from ({**defaults, option.name: value} for value in changed)


@every_method
def test_22_a_changed_setting_changes_the_numbers_or_is_told(method):
    options = [one for one in describe_options(method.hyperparameters) if one.name not in LOOP]
    for given in settings(method):
        expected, whole = losses(method, given), method.hyperparameters(**given)
        for option in options:
            changed = [given | {option.name: value} for value in others(option, given[option.name])]
            has_effect = any(not torch.equal(losses(method, one), expected) for one in changed)
            assert has_effect is option.used_when(whole), (option.name, given)


@every_method
def test_the_order_of_a_prompts_answers_changes_nothing(method):
    order = [2, 0, 1, 4, 5, 3]
    for given in settings(method):
        found = losses(method, given, order=order)
        torch.testing.assert_close(found, losses(method, given)[order])


@every_method
def test_what_stands_at_padding_changes_nothing(method):
    for given in settings(method):
        found = losses(method, given, padding=1e6)
        assert torch.equal(found, losses(method, given))
        assert not found[~MASK].any()
