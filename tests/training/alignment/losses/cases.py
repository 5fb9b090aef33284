"""Every offline method with each of its choices, and arguments for its loss made by name."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from training.alignment.methods import Method, methods, parse_hyperparameters
from training.alignment.options import describe_options

BATCH, ENTRIES = 5, 4
Arguments = dict[str, Any]


@dataclass(frozen=True)
class Case:
    method: Method
    hyperparameters: Mapping[str, Any]
    note: str = ""

    @property
    def name(self) -> str:
        chosen = [v for v in self.hyperparameters.values() if isinstance(v, str)]
        return "-".join([self.method.name, *chosen, *filter(None, [self.note])])

    @property
    def loss(self) -> Callable[..., Any]:
        return self.method.load_loss()

    def call(self, arguments: Arguments) -> Any:
        return self.loss(**arguments)

    def arguments(
        self, *, seed: int = 0, dtype: torch.dtype = torch.float64, spread: float = 3.0
    ) -> Arguments:
        """What the loss names; scores and log-probabilities have a gradient."""
        generator = torch.Generator().manual_seed(seed)
        names = inspect.signature(self.loss).parameters
        made = {name: _made(name, generator, dtype, spread) for name in names}
        if "text_lengths" in made:  # the text is the chosen answer with its prompt
            made["text_lengths"] = made["text_lengths"] + made["chosen_lengths"]
        given = {k: v for k, v in self.hyperparameters.items() if k in names}
        return {**{k: v for k, v in made.items() if v is not None}, **given}

    def at_the_reference(self) -> Arguments:
        """The policy is the reference, and nothing else is known."""
        arguments = self.arguments()
        for name in list(arguments):
            if match := re.fullmatch(r"policy_(\w+)_logps", name):
                arguments[f"reference_{match[1]}_logps"] = arguments[name].detach()
        if "reference_point" in arguments:
            arguments["reference_point"] = torch.zeros((), dtype=torch.float64)
        arguments.pop("target_probabilities", None)
        return arguments


def swapped(arguments: Arguments) -> Arguments:
    """The same with the two answers of each pair changed for one another."""
    other = {"chosen": "rejected", "rejected": "chosen"}
    found = {
        re.sub("chosen|rejected", lambda match: other[match[0]], name): value
        for name, value in arguments.items()
    }
    for name, sides in (("policy_text_logps", "policy_{}_logps"), ("text_lengths", "{}_lengths")):
        if name in found:
            chosen, rejected = (arguments[sides.format(side)] for side in other)
            found[name] = arguments[name] - chosen + rejected
    return found


def _made(name: str, generator: torch.Generator, dtype: torch.dtype, spread: float) -> Any:
    shape = (BATCH, ENTRIES) if name.split("_")[-2:][0] == "list" or "list_" in name else (BATCH,)
    if name.endswith(("_logps", "_scores")):
        values = torch.randn(shape, generator=generator, dtype=torch.float64) * spread
        if name.endswith("_logps"):
            values = -values.abs() - 0.1
        return values.to(dtype).requires_grad_()
    if name.endswith("_lengths"):
        return torch.randint(2, 9, shape, generator=generator).to(dtype)
    simple: dict[str, Callable[[], Tensor]] = {
        "target_probabilities": lambda: torch.rand(shape, generator=generator).to(dtype),
        "margins": lambda: torch.randint(0, 4, shape, generator=generator).to(dtype),
        "labels": lambda: torch.tensor([1, 0, 1, 1, 0]).to(dtype),
        "list_ranks": lambda: torch.tensor(
            [[1, 2, 3, 4], [2, 1, 2, 0], [3, 1, 2, 0], [1, 1, 1, 1], [1, 2, 2, 3]]
        ),
        "reference_point": lambda: torch.tensor(0.4, dtype=dtype),
        "step_beta": lambda: torch.tensor(0.2, dtype=dtype),
        "step_tokens": lambda: torch.tensor(5.5, dtype=dtype),
    }
    return simple[name]() if name in simple else None


def _with_choices(method: Method) -> list[Case]:
    defaults = asdict(parse_hyperparameters(method, {}))
    cases = [Case(method, defaults)]
    for option in describe_options(method.hyperparameters):
        cases += [
            Case(method, {**defaults, option.name: choice})
            for choice in option.choices or ()
            if choice != option.default
        ]
    return cases


OFFLINE = [method for method in methods() if method.loop == "offline"]
# Terms that are off by default.
EXTRA = {
    "dpo": {"nll_weight": 0.7},
    "reward_bradley_terry": {"margin_scale": 0.5, "centering_weight": 0.02},
}
CASES = [case for method in OFFLINE for case in _with_choices(method)] + [
    Case(method, {**asdict(parse_hyperparameters(method, EXTRA[method.name]))}, "all_terms")
    for method in OFFLINE
    if method.name in EXTRA
]
