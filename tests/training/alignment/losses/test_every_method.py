"""What holds for the loss of every offline method, generated over the registry."""

import inspect
import math
import re
from typing import Any

import pytest
import torch

from tests.training.alignment.losses.cases import BATCH, CASES, OFFLINE, Case, swapped
from training.alignment.options import Option, describe_options

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
referenced = [case for case in CASES if case.method.needs_reference and not case.note]


def trained(arguments):
    return [
        name
        for name in arguments
        if name.endswith("_scores") or re.fullmatch(r"policy_\w+_logps", name)
    ]


@every_case
def test_the_gradient_is_that_of_finite_differences(case: Case):
    arguments = case.arguments(seed=3)
    names = trained(arguments)
    assert torch.autograd.gradcheck(
        lambda *values: case.call({**arguments, **dict(zip(names, values, strict=True))}).losses,
        [arguments[name] for name in names],
    )


@every_case
def test_losses_are_not_reduced_and_rewards_have_no_gradient(case: Case):
    output = case.call(case.arguments())
    assert output.losses.shape == (BATCH,)
    for name, values in output._asdict().items():
        assert values.requires_grad is (name == "losses")


@every_case
def test_nothing_but_the_policy_gets_a_gradient(case: Case):
    arguments = case.arguments()
    case.call(arguments).losses.sum().backward()
    for name, value in arguments.items():
        if name.endswith(("_logps", "_scores")):
            assert (value.grad is not None) is (name in trained(arguments)), name


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("far", ["policy", "reference", "chosen", "rejected"])
def test_losses_and_gradients_stay_finite_far_out(case: Case, dtype, far):
    arguments = case.arguments(dtype=dtype)
    for name, value in arguments.items():
        if name.endswith(("_logps", "_scores")):
            extreme = -1e4 if far in name else -1e-3
            arguments[name] = torch.full_like(value, extreme).requires_grad_()
    losses = case.call(arguments).losses
    losses.sum().backward()
    assert losses.isfinite().all()
    assert all(arguments[name].grad.isfinite().all() for name in trained(arguments))


@every_case
def test_float32_agrees_with_float64(case: Case):
    exact = case.call(case.arguments(seed=5)).losses
    rounded = case.call(case.arguments(seed=5, dtype=torch.float32)).losses
    torch.testing.assert_close(rounded.double(), exact, rtol=2e-5, atol=2e-5)


@every_case
def test_bfloat16_inputs_give_about_the_loss_of_their_values(case: Case):
    arguments = case.arguments(seed=6, dtype=torch.bfloat16)
    exact = case.call(
        {
            name: value.double() if isinstance(value, torch.Tensor) else value
            for name, value in arguments.items()
        }
    ).losses
    rounded = case.call(arguments).losses
    torch.testing.assert_close(rounded.double(), exact.double(), rtol=0.06, atol=0.06)


@every_case
def test_a_tensor_of_another_shape_is_refused(case: Case):
    arguments = case.arguments()
    for name, value in arguments.items():
        if isinstance(value, torch.Tensor) and value.ndim:
            with pytest.raises(ValueError, match="expected tensors of one shape"):
                case.call({**arguments, name: value.unsqueeze(0)})


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if any(name.endswith("_lengths") for name in case.arguments())],
    ids=lambda case: case.name,
)
def test_an_empty_answer_spoils_no_step(case: Case):
    """0/0 in one row, of whatever weight, would make the gradient of the whole step NaN."""
    arguments = case.arguments()
    for name, value in arguments.items():
        if name.endswith(("_logps", "_lengths")):
            arguments[name] = value.detach().clone()
            arguments[name][0] = 0.0
    for name in trained(arguments):
        arguments[name].requires_grad_()
    losses = case.call(arguments).losses
    losses.sum().backward()
    assert losses.isfinite().all()
    assert all(arguments[name].grad.isfinite().all() for name in trained(arguments))


LN_2 = math.log(2.0)
AT_THE_REFERENCE = {
    "dpo-summed": LN_2,
    "dpo-averaged": LN_2,
    "cdpo": LN_2,
    "robust_dpo": LN_2,
    "dpop": LN_2,
    "ipo-summed": 25.0,
    "ipo-averaged": 25.0,
    "gpo-logistic": LN_2,
    "gpo-hinge": 1.0,
    "gpo-squared": 1.0,
    "gpo-exponential": 1.0,
    "gpo-truncated_squared": 1.0,
    "gpo-savage": 0.25,
    "rso": 1.0,
    "f_dpo-jensen_shannon": LN_2,
    "f_dpo-reverse_kl": LN_2,
    "f_dpo-forward_kl": LN_2,
    "f_dpo-alpha": LN_2,
    "beta_dpo-paper": LN_2,
    "beta_dpo-code": LN_2,
    "kto": 0.5,
}


@pytest.mark.parametrize("case", referenced, ids=lambda case: case.name)
def test_the_value_at_the_reference(case: Case):
    losses = case.call(case.at_the_reference()).losses
    if case.method.name == "r_dpo":  # lengths alone decide there
        lengths = case.arguments()
        gap = 0.01 * (lengths["chosen_lengths"] - lengths["rejected_lengths"])
        expected = torch.nn.functional.softplus(-gap)
    elif case.method.name == "dpo_pl":  # the product of how many each entry stands against
        products = {"left_out": (24, 3, 6, 1, 16), "pulled_together": (24, 12, 6, 256, 36)}
        counts = products[str(case.hyperparameters["ties"])]
        expected = torch.tensor(counts, dtype=torch.float64).log()
    else:
        expected = torch.full((BATCH,), AT_THE_REFERENCE[case.name], dtype=torch.float64)
    torch.testing.assert_close(losses.detach(), expected)


@pytest.mark.parametrize("case", referenced, ids=lambda case: case.name)
def test_a_constant_added_to_policy_and_reference_changes_nothing(case: Case):
    arguments = case.arguments()
    moved = {
        name: value - 7.5 if name.endswith("_logps") else value for name, value in arguments.items()
    }
    torch.testing.assert_close(case.call(moved).losses, case.call(arguments).losses)


rewards = [case for case in CASES if case.method.trains == "reward"]


@pytest.mark.parametrize("case", rewards, ids=lambda case: case.name)
def test_a_constant_added_to_all_scores_changes_the_centring_alone(case: Case):
    arguments = case.arguments()
    moved = {
        name: value + 7.5 if name.endswith("_scores") else value
        for name, value in arguments.items()
    }
    free = {"centering_weight": 0.0} if "centering_weight" in arguments else {}
    torch.testing.assert_close(case.call(moved | free).losses, case.call(arguments | free).losses)
    if arguments.get("centering_weight"):
        assert bool((case.call(moved).losses != case.call(arguments).losses).all())


hard = [case for case in CASES if case.method.data == "pairs" and not case.method.soft_labels]


@pytest.mark.parametrize("case", hard, ids=lambda case: case.name)
def test_swapping_the_sides_of_a_hard_label(case: Case):
    """An assumed share of flips turns round with them; without one the margin is the difference."""
    arguments = case.arguments()
    output = case.call(arguments)
    flips = {"epsilon": 1.0 - arguments["epsilon"]} if "epsilon" in arguments else {}
    turned = case.call(swapped(arguments) | flips)
    margin = output.chosen_rewards - output.rejected_rewards
    torch.testing.assert_close(turned.losses, output.losses + (0.0 if flips else margin))
    torch.testing.assert_close(turned.chosen_rewards, output.rejected_rewards)
    torch.testing.assert_close(turned.rejected_rewards, output.chosen_rewards)


soft = [case for case in CASES if case.method.soft_labels]


@pytest.mark.parametrize("case", soft, ids=lambda case: case.name)
def test_swapping_the_sides_turns_the_target_round(case: Case):
    arguments = case.arguments()
    turned = swapped(arguments) | {"target_probabilities": 1 - arguments["target_probabilities"]}
    torch.testing.assert_close(case.call(turned).losses, case.call(arguments).losses)


@pytest.mark.parametrize("case", soft, ids=lambda case: case.name)
def test_a_soft_label_gives_the_loss_in_expectation_over_the_label(case: Case):
    """Certain ones give the loss of hard labels, as they stand or swapped."""
    arguments = case.arguments(seed=2)
    p = arguments.pop("target_probabilities")
    p[:2] = torch.tensor([1.0, 0.0])
    certain = {}
    if case.method.name == "reward_soft_labels":  # it knows no other labels
        certain = {"target_probabilities": torch.ones_like(p)}
    right = case.call(arguments | certain).losses
    wrong = case.call(swapped(arguments) | certain).losses
    losses = case.call(arguments | {"target_probabilities": p}).losses
    torch.testing.assert_close(losses, p * right + (1 - p) * wrong)
    assert (losses[0], losses[1]) == (right[0], wrong[1])
    assert right[1] != wrong[1]


@pytest.mark.parametrize("case", soft, ids=lambda case: case.name)
@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_a_target_that_is_no_probability_is_refused(case: Case, wrong):
    arguments = case.arguments()
    arguments["target_probabilities"][1] = wrong
    with pytest.raises(ValueError, match="target_probabilities must lie between 0 and 1"):
        case.call(arguments)


def _another(option: Option, value: Any) -> list[Any]:
    if option.choices:
        return [choice for choice in option.choices if choice != value]
    return [value / 2 + 0.2]


@pytest.mark.parametrize("method", OFFLINE, ids=lambda method: method.name)
def test_22_no_setting_is_silently_ignored(method):
    """Each changes the loss in some setting of the others, or is what the step's statistic or the
    choice of sequences is about."""
    cases = [case for case in CASES if case.method is method]
    statistic = method.load_step_statistic()
    elsewhere = {} if statistic is None else inspect.signature(statistic).parameters
    names = inspect.signature(method.load_loss()).parameters
    for option in describe_options(method.hyperparameters):
        if option.name in names:
            assert any(
                not torch.equal(
                    case.call(case.arguments() | {option.name: other}).losses,
                    case.call(case.arguments()).losses,
                )
                for case in cases
                for other in _another(option, case.hyperparameters[option.name])
            ), option.name
        else:
            sequences = {f"policy_{choice}_logps" for choice in option.choices or ()}
            assert option.name in elsewhere or sequences & set(names), option.name


@pytest.mark.parametrize("method", OFFLINE, ids=lambda method: method.name)
def test_22_a_setting_that_is_told_as_unused_changes_nothing(method):
    options = describe_options(method.hyperparameters)
    defaults = CASES[[case.method for case in CASES].index(method)].hyperparameters
    nothing = [Case(method, {**defaults, one.name: 0.0}) for one in options if one.min == 0.0]
    for case in (*nothing, *(case for case in CASES if case.method is method)):
        whole, arguments = method.hyperparameters(**case.hyperparameters), case.arguments()
        for option in (one for one in options if not one.used_when(whole)):
            for other in _another(option, case.hyperparameters[option.name]):
                losses = case.call(arguments | {option.name: other}).losses
                assert torch.equal(losses, case.call(arguments).losses), option.name


@pytest.mark.parametrize("method", OFFLINE, ids=lambda method: method.name)
def test_a_loss_asks_for_a_reference_only_where_the_registry_says_so(method):
    functions = filter(None, (method.load_loss(), method.load_step_statistic()))
    names = [name for function in functions for name in inspect.signature(function).parameters]
    assert any(re.fullmatch(r"reference_\w+_logps", name) for name in names) is (
        method.needs_reference
    )
    assert any(name.endswith("_scores") for name in names) is (method.trains == "reward")


@pytest.mark.parametrize("method", OFFLINE, ids=lambda method: method.name)
def test_only_log_probabilities_and_scores_are_taken_by_their_place(method):
    """What stands fifth in one loss would be something else in another."""
    for function in filter(None, (method.load_loss(), method.load_step_statistic())):
        for name, parameter in inspect.signature(function).parameters.items():
            is_needed = parameter.default is parameter.empty
            is_first = is_needed and name.endswith(("_logps", "_scores"))
            assert (parameter.kind is not parameter.KEYWORD_ONLY) is is_first, name


@pytest.mark.parametrize("method", OFFLINE, ids=lambda method: method.name)
def test_the_registry_says_which_losses_take_soft_labels(method):
    names = inspect.signature(method.load_loss()).parameters
    assert ("target_probabilities" in names) is method.soft_labels
