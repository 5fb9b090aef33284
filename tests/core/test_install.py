"""Setting up .venv: what is pinned, what is refused, and what a failed download says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from config import install

GROUPS = ("run", "dev")


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(install, "VENV_PYTHON", Path(sys.executable))
    monkeypatch.setattr(install, "LOG", tmp_path / "install.log")
    return tmp_path / "install.log"


@pytest.mark.parametrize("group", GROUPS)
def test_every_package_is_pinned(group: str) -> None:
    pinned = set(re.findall(r"^([\w.-]+)==", install.read(install.CONSTRAINTS), re.MULTILINE))
    wanted = [re.split(r"[\[<>=]", requirement)[0] for requirement in install.requirements(group)]
    known = {normal(name) for name in pinned}
    assert {normal(name) for name in [*wanted, *install.WITHOUT_REQUIREMENTS[group]]} <= known


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_an_old_python_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    install.refuse_old_python()
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit, match=r"Python 3\.11 or newer, and .* is 3\.9\.2"):
        install.refuse_old_python()


def test_a_full_disk_is_told_before_anything_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    install.refuse_full_disk("run")
    monkeypatch.setitem(install.NEEDED_GIGABYTES, "run", 10**9)
    with pytest.raises(SystemExit, match="GB left"):
        install.refuse_full_disk("run")


def test_without_a_network_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(SystemExit) as stop:
        install.pip(["a-package-that-nobody-has"])
    assert "the package index cannot be reached; check the network" in str(stop.value)
    assert "No matching distribution found" in str(stop.value)


def test_another_failure_keeps_the_last_words_of_pip(log: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        install.pip(["not a requirement"])
    assert "Invalid requirement" in str(stop.value)
    assert str(log) in str(stop.value)


def test_a_changed_pin_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = install.fingerprint("run")
    assert install.fingerprint("run") == before
    changed = tmp_path / "constraints.txt"
    changed.write_text(install.read(install.CONSTRAINTS) + "\n")
    monkeypatch.setattr(install, "CONSTRAINTS", changed)
    assert install.fingerprint("run") != before
