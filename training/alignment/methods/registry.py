"""Every method in the order in which a form offers them."""

from collections.abc import Mapping
from typing import Any

from training.alignment.methods import (
    beta_dpo,
    convex,
    demonstrations,
    dpo,
    f_divergence,
    kto,
    lists,
    policy_gradient,
    reference_free,
    reward_models,
)
from training.alignment.methods.method import Method
from training.alignment.options import OptionError, parse_options

_METHODS = (
    *dpo.METHODS,
    *convex.METHODS,
    *f_divergence.METHODS,
    *beta_dpo.METHODS,
    *reference_free.METHODS,
    *kto.METHODS,
    *lists.METHODS,
    *demonstrations.METHODS,
    *reward_models.METHODS,
    *policy_gradient.METHODS,
)


def methods() -> tuple[Method, ...]:
    """Every registered method, in the order in which a form offers them."""
    return _METHODS


def get_method(name: str) -> Method:
    """The method called `name`; raises OptionError naming the known ones."""
    for method in _METHODS:
        if method.name == name:
            return method
    known = ", ".join(method.name for method in _METHODS)
    raise OptionError("method", f"{name!r} is not a training method; the known ones are {known}")


def parse_hyperparameters(method: Method, values: Mapping[str, Any]) -> Any:
    """The method's hyper-parameters as its frozen dataclass; raises OptionError naming the key."""
    return parse_options(method.hyperparameters, values)
