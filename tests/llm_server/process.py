"""Starts a scripted server and asks it for its account; for tests, proofs and benchmarks alike."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class LlmServer:
    """A running server. `url` is its origin, `base_url` what OpenAI's clients want."""

    process: subprocess.Popen[str]
    url: str
    key: str

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def stats(self) -> dict[str, Any]:
        """Its calls, faults, tokens and CPU seconds so far; see tests.llm_server.app.App.stats."""
        told: dict[str, Any] = self._get("/stats")
        return told

    def seen(self) -> list[dict[str, Any]]:
        """The last 200 calls as they came: host, key, body."""
        told: list[dict[str, Any]] = self._get("/seen")
        return told

    def billed(self) -> dict[str, int]:
        """Calls that it did not turn away, by the mark of their chain; see App."""
        told: dict[str, int] = self._get("/billed")
        return told

    def change(self, **script: Any) -> None:
        """Plays on by another script: rates={"500": 1.0}, verdict="first", sleep_ms=20, …"""
        self._get("/script", json.dumps(script).encode())

    def _get(self, path: str, body: bytes | None = None) -> Any:
        with urllib.request.urlopen(self.url + path, body, timeout=60) as reply:  # noqa: S310
            return json.load(reply)


@contextlib.contextmanager
def start_llm_server(
    *arguments: str, key: str = "", rates: dict[str, float] | None = None
) -> Iterator[LlmServer]:
    """A server that is dead when the block is left; `arguments` are those of its command line."""
    command = [sys.executable, "-m", "tests.llm_server", *arguments]
    command += [
        part for name, rate in (rates or {}).items() for part in ("--rate", f"{name}={rate}")
    ]
    process = subprocess.Popen(
        [*command, *(("--key", key) if key else ())], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield LlmServer(process, json.loads(process.stdout.readline())["listening"], key)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
