"""What a configuration may say of the source of rollouts. Imports without torch.

Settings: {"kind": "transformers", "rows": 32}; nothing at all is transformers in this process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.alignment.options import OptionError, Options, option, parse_options


@dataclass(frozen=True, kw_only=True)
class TransformersOptions(Options):
    """The policy in memory samples."""

    kind: str = option("transformers", help="What samples.")
    rows: int = option(32, help="Answers written at a time.", min=1, max=4096)


@dataclass(frozen=True, kw_only=True)
class ServerOptions(Options):
    """A server of this product samples; it serves `folder`, which each update writes anew."""

    kind: str = option(help="What samples.")
    url: str = option(help="Address of the server, for example http://127.0.0.1:8000.")
    model: str = option(help="What the server calls the model.")
    folder: str = option(help="The folder that the server serves; it must be this run's own.")
    concurrency: int = option(32, help="Calls in hand at a time.", min=1, max=4096)
    patience: float = option(600.0, help="Longest wait for one call, in seconds.", min=1.0, max=1e5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.url.startswith(("http://", "https://")):
            raise OptionError("url", f"{self.url!r} is no http address")


@dataclass(frozen=True, kw_only=True)
class VllmOptions(ServerOptions):
    """A vLLM server samples."""

    processed_log_probs: bool = option(
        False,
        help="The server was started with --logprobs-mode processed_logprobs, which any "
        "temperature but 1 needs.",
    )


KINDS: Mapping[str, type[TransformersOptions] | type[ServerOptions]] = {
    "transformers": TransformersOptions,
    "serve": ServerOptions,
    "vllm": VllmOptions,
}


def parse_rollouts(settings: Mapping[str, Any]) -> TransformersOptions | ServerOptions:
    """The source's options; raises OptionError naming what is wrong."""
    kind = settings.get("kind", "transformers")
    if not isinstance(kind, str) or kind not in KINDS:
        raise OptionError("rollout_source.kind", f"{kind!r} is not one of {', '.join(KINDS)}")
    try:
        return parse_options(KINDS[kind], settings)
    except OptionError as error:
        raise OptionError(f"rollout_source.{error.name}", error.problem) from error
