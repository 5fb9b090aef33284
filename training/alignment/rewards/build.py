"""Reward sources from a configuration. Imports without torch, so that a form can check it.

Settings name each source: {"helpful": {"kind": "reward_model", "folders": ["…"], "weight": 1.0}}.
The further keys of a kind are the fields of its options class.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.alignment.options import OptionError, option, parse_options
from training.alignment.rewards.composed import Composed
from training.alignment.rewards.judge import JudgeSource
from training.alignment.rewards.penalties import FormatPenalty, LengthPenalty
from training.alignment.rewards.protocol import RewardError, RewardSource
from training.alignment.rewards.verifiers import VerifierSource, load_verifier

if TYPE_CHECKING:
    import torch

COMBINATIONS = ("mean", "min", "uncertainty")


@dataclass(frozen=True, kw_only=True)
class _Source:
    kind: str = option(help="What gives the reward.")
    weight: float = option(1.0, help="Multiplies the reward in the sum.", min=-1e6, max=1e6)


@dataclass(frozen=True, kw_only=True)
class RewardModelOptions(_Source):
    """One reward model, or an ensemble."""

    folders: list[str] = option(help="Folders of the reward models.")  # noqa: RUF009
    combine: str = option(
        "mean",
        help="Mean of an ensemble, its worst score, or the mean less its variance.",
        choices=COMBINATIONS,
    )
    uncertainty_weight: float = option(
        0.0, help="What an ensemble's variance is multiplied by.", min=0.0, max=1e6
    )
    batch_size: int = option(16, help="Answers scored together.", min=1, max=4096)

    def __post_init__(self) -> None:
        if not self.folders or not all(isinstance(folder, str) for folder in self.folders):
            raise OptionError("folders", "needs the folder of at least one reward model")


@dataclass(frozen=True, kw_only=True)
class VerifierOptions(_Source):
    """A function that checks the answer."""

    verifier: str = option(help="Name of the verifier.")


@dataclass(frozen=True, kw_only=True)
class LengthOptions(_Source):
    """A penalty on long answers."""

    free: int = option(0, help="Tokens without a penalty.", min=0, max=10**6)
    limit: int = option(128, help="Tokens at which the penalty is full.", min=1, max=10**6)

    def __post_init__(self) -> None:
        if self.free >= self.limit:
            raise OptionError("free", f"{self.free} must be below the limit of {self.limit}")


@dataclass(frozen=True, kw_only=True)
class FormatOptions(_Source):
    """A penalty on answers of another form."""

    pattern: str = option(help="Regular expression that the whole answer must match.")


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(_Source):
    """A judge of the platform, asked through the worker."""

    judge: str = option(help="Name of the judge.")


KINDS: Mapping[str, type[_Source]] = {
    "reward_model": RewardModelOptions,
    "verifier": VerifierOptions,
    "length": LengthOptions,
    "format": FormatOptions,
    "judge": JudgeOptions,
}


def parse_rewards(settings: Mapping[str, Any]) -> dict[str, _Source]:
    """Each source's options by name; raises OptionError naming the source and what is wrong."""
    return {name: _parse(name, values) for name, values in settings.items()}


def build_rewards(
    settings: Mapping[str, Any], *, tokenizer: Any, device: "torch.device", dtype: "torch.dtype"
) -> Composed:
    """Load every source. `tokenizer` is the policy's; `dtype` is what reward models compute in.

    Raises OptionError for wrong settings and RewardError or ModelError for a source that cannot be
    loaded.
    """
    parsed = parse_rewards(settings)
    sources = [_build(name, options, tokenizer, device, dtype) for name, options in parsed.items()]
    return Composed(sources, [options.weight for options in parsed.values()])


def _parse(name: str, values: Any) -> _Source:
    kind = values.get("kind") if isinstance(values, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise OptionError(f"{name}.kind", f"{kind!r} is not one of {', '.join(KINDS)}")
    try:
        return parse_options(KINDS[kind], values)
    except OptionError as error:
        raise OptionError(f"{name}.{error.name}", error.problem) from error


def _build(
    name: str, options: _Source, tokenizer: Any, device: "torch.device", dtype: "torch.dtype"
) -> RewardSource:
    try:
        match options:
            case RewardModelOptions():
                return _reward_model(name, options, tokenizer, device, dtype)
            case VerifierOptions():
                return VerifierSource(load_verifier(options.verifier), name=name)
            case LengthOptions():
                return LengthPenalty(free=options.free, limit=options.limit, name=name)
            case FormatOptions():
                return FormatPenalty(pattern=options.pattern, name=name)
            case JudgeOptions():
                return JudgeSource(options.judge, name=name)
    except RewardError as error:
        raise RewardError(f"reward source '{name}': {error}") from error
    raise RewardError(f"reward source '{name}': nothing builds a {options.kind}")


def _reward_model(
    name: str,
    options: RewardModelOptions,
    tokenizer: Any,
    device: "torch.device",
    dtype: "torch.dtype",
) -> RewardSource:
    from training.alignment.rewards.reward_models import RewardModelSource

    return RewardModelSource.load(
        options.folders,
        tokenizer,
        dtype=dtype,
        device=device,
        name=name,
        combine=options.combine,
        uncertainty_weight=options.uncertainty_weight,
        batch_size=options.batch_size,
    )
