"""What the help of a command line says of an option."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from training.alignment.config import TrainingConfig
from training.alignment.methods import methods
from training.alignment.option_words import entry, summary
from training.alignment.options import describe_options, option


@dataclass(frozen=True)
class Options:
    path: str = option(help="Where.")
    share: float = option(0.25, help="How much.", min=0.0, max=1.0)
    steps: int = option(3, help="How often.", min=1)
    fast: bool = option(True, help="Whether.")
    mode: str = option("a", help="How.", choices=("a", "b"))
    more: Mapping[str, int] = option({}, help="What else.")
    limit: int | None = option(None, help="The most.")


@pytest.mark.parametrize(
    ("name", "words"),
    {
        "path": "Where. (text; required)",
        "share": "How much. (number 0 to 1; default 0.25)",
        "steps": "How often. (whole number from 1; default 3)",
        "fast": "Whether. (true, false; default true)",
        "mode": "How. (a, b; default a)",
        "more": "What else. (object; none by default)",
        "limit": "The most. (whole number; none by default)",
    }.items(),
)
def test_a_summary_tells_values_and_default(name: str, words: str) -> None:
    assert {one.name: summary(one) for one in describe_options(Options)}[name] == words


def test_a_long_entry_goes_on_below_its_words() -> None:
    first, second = entry("name", "word " * 20).splitlines()
    assert first.startswith("  name  ")
    assert second.index("word") == first.index("word")


def test_the_command_tells_every_field_and_method() -> None:
    command = [sys.executable, "-m", "training.alignment.train", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = " ".join(said.split())
    described = [TrainingConfig, *(method.hyperparameters for method in methods())]
    for one in (one for options in described for one in describe_options(options)):
        assert f"{one.name} {summary(one)}" in words
    assert all(method.name in words for method in methods())
