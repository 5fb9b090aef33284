"""The commands as a shell runs them: their options must not clash with Django's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import load_command_class

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = sorted(path for path in ROOT.glob("*/management/commands/[a-z]*.py"))
DJANGO = {"version", "verbosity", "settings", "pythonpath", "traceback", "no_color"}


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_no_option_takes_the_place_of_djangos(path: Path) -> None:
    """Django reads `settings` and `pythonpath` before the command runs."""
    command = load_command_class(path.parts[-4], path.stem)
    parser = command.create_parser("manage.py", path.stem)
    names = [action.dest for action in parser._actions]
    assert len(names) == len(set(names))
    assert set(names) >= DJANGO


def test_a_command_of_the_shell_answers_in_words(process_environment: dict[str, str]) -> None:
    train = ["train", "--project", "nothing", "--method", "dpo", "--set", "max_steps=1"]
    done = subprocess.run(
        [sys.executable, "manage.py", *train, "--as", "nobody", "--no-wait"],
        cwd=ROOT,
        env=process_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "CommandError" in done.stderr
    assert "Traceback" not in done.stderr
