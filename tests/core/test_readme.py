"""The README is held to the code: its settings, its file tree, its commands, its pictures."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
READS_SETTING = re.compile(r'(?:env|environment)\.(?:text|flag|number|words)\(\s*"([A-Z_]+)"')


def section(title: str) -> str:
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def settings_in_code() -> set[str]:
    sources = [*(ROOT / "config").rglob("*.py"), *(ROOT / "core").rglob("*.py")]
    names = {name for source in sources for name in READS_SETTING.findall(source.read_text())}
    return names | {"PREFLOOP_DATA_DIR"}


def test_the_settings_table_names_every_setting() -> None:
    table = set(re.findall(r"^\| `([A-Z_]+)` \|", section("Settings"), re.MULTILINE))
    assert table == settings_in_code()


def test_the_file_tree_is_on_disk_and_complete() -> None:
    tree = section("Where things are")
    named = {line.split()[0].rstrip("/") for line in tree.splitlines() if re.match(r"^[\w.]", line)}
    named = {name for name in named if "/" not in name and name != "```"} - {"Each"}
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    top = {line.split("/")[0] for line in tracked.splitlines()}
    visible = {name for name in top if not name.startswith(".")}
    assert named == visible


def test_the_make_targets_exist() -> None:
    targets = set(re.findall(r"`make (\w+)`", README))
    makefile = (ROOT / "Makefile").read_text()
    assert targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http|#)([^)]+)\)", README))
def test_links_and_pictures_are_there(link: str) -> None:
    assert (ROOT / link.split("#")[0]).exists()


def test_the_manage_commands_exist() -> None:
    named = set(re.findall(r"manage\.py (\w+)", README))
    there = {path.stem for path in ROOT.glob("*/management/commands/*.py")}
    assert named
    assert named <= there
