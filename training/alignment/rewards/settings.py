"""What a configuration may say of reward sources. Imports without torch, so that a form can check.

Settings name each source: {"helpful": {"kind": "reward_model", "folders": ["…"], "weight": 1.0}}.
The further keys of a kind are the fields of its options class.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.alignment.options import OptionError, Options, option, parse_options

_NAME = re.compile(r"[a-z0-9_]{1,40}")
# What `missing_end_penalty` takes is logged beside the sources under this name.
MISSING_END = "missing_end"
# The metrics call the spread of the whole reward so.
_TAKEN = ("std", MISSING_END)
COMBINATIONS = ("mean", "min", "uncertainty")


@dataclass(frozen=True, kw_only=True)
class SourceOptions(Options):
    """What every source has."""

    kind: str = option(help="What gives the reward.")
    weight: float = option(1.0, help="Multiplies the reward in the sum.", min=-1e6, max=1e6)


def combination_problem(combine: str, uncertainty_weight: float) -> str | None:
    """Why a weight would be ignored, or its lack would make `uncertainty` a mere mean."""
    if combine == "uncertainty" and not uncertainty_weight:
        return "needs a weight above 0, or choose mean: a variance times 0 is not counted"
    if combine != "uncertainty" and uncertainty_weight:
        return f"{uncertainty_weight:g} is only for combine uncertainty, not for {combine}"
    return None


@dataclass(frozen=True, kw_only=True)
class RewardModelOptions(SourceOptions):
    """One reward model, or an ensemble."""

    folders: list[str] = option(help="Folders of the reward models.")  # noqa: RUF009
    combine: str = option(
        "mean",
        help="Mean of an ensemble, its worst score, or the mean less its variance.",
        choices=COMBINATIONS,
    )
    uncertainty_weight: float = option(
        0.0,
        help="What an ensemble's variance is multiplied by, for uncertainty.",
        min=0.0,
        max=1e6,
    )
    batch_size: int = option(16, help="Answers scored together.", min=1, max=4096)
    dtype: str = option(
        "float32",
        help="Precision of weights and products. bfloat16 halves the memory, and moves rewards by "
        "some hundredths of their spread.",
        choices=("float32", "bfloat16"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.folders or not all(isinstance(folder, str) for folder in self.folders):
            raise OptionError("folders", "needs the folder of at least one reward model")
        if problem := combination_problem(self.combine, self.uncertainty_weight):
            raise OptionError("uncertainty_weight", problem)


@dataclass(frozen=True, kw_only=True)
class VerifierOptions(SourceOptions):
    """A function that checks the answer."""

    verifier: str = option(help="Name of the verifier.")
    time_limit: float = option(
        10.0,
        help="Longest time in seconds that an installed verifier may take for an answer.",
        min=0.01,
        max=86400.0,
    )
    timed_out_reward: float = option(
        0.0, help="The reward of an answer that took it longer.", min=-1e6, max=1e6
    )


@dataclass(frozen=True, kw_only=True)
class LengthOptions(SourceOptions):
    """A penalty on long answers."""

    free: int = option(0, help="Tokens without a penalty.", min=0, max=10**6)
    limit: int = option(128, help="Tokens at which the penalty is full.", min=1, max=10**6)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.free >= self.limit:
            raise OptionError("free", f"{self.free} must be below the limit of {self.limit}")


@dataclass(frozen=True, kw_only=True)
class FormatOptions(SourceOptions):
    """A penalty on answers of another form."""

    pattern: str = option(help="Regular expression that the whole answer must match.")
    time_limit: float = option(
        10.0,
        help="Longest time in seconds for an answer; one that takes longer counts as no match.",
        min=0.01,
        max=86400.0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            re.compile(self.pattern, re.DOTALL)
        except re.error as error:
            problem = f"'{self.pattern}' is no regular expression: {error}"
            raise OptionError("pattern", problem) from error


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(SourceOptions):
    """A judge of the platform, asked through the worker."""

    judge: str = option(help="Name of the judge.")
    cap: float = option(
        1.0, help="Dollars that the run may spend on it: the run ends before more.", min=0, max=1e6
    )


KINDS: Mapping[str, type[SourceOptions]] = {
    "reward_model": RewardModelOptions,
    "verifier": VerifierOptions,
    "length": LengthOptions,
    "format": FormatOptions,
    "judge": JudgeOptions,
}


def parse_rewards(settings: Mapping[str, Any]) -> dict[str, SourceOptions]:
    """Each source's options by name; raises OptionError naming the source and what is wrong."""
    return {name: _parse(name, values) for name, values in settings.items()}


def check_name(name: str) -> None:
    """Raises OptionError for a name under which no source can be logged."""
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise OptionError(
            repr(name),
            "a source's name is 1 to 40 small letters, digits and underscores, and none of "
            f"{', '.join(_TAKEN)}",
        )


def _parse(name: str, values: Any) -> SourceOptions:
    check_name(name)
    kind = values.get("kind") if isinstance(values, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise OptionError(f"{name}.kind", f"{kind!r} is not one of {', '.join(KINDS)}")
    try:
        return parse_options(KINDS[kind], values)
    except OptionError as error:
        raise OptionError(f"{name}.{error.name}", error.problem) from error
