"""Servers for tests: the scripted one, and our own over the real SmolLM2."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.llm_server.process import ROOT, LlmServer, start_llm_server

StartServer = Callable[..., LlmServer]
SERVE_KEY = "sesame"


@dataclass(frozen=True)
class ModelServer:
    """`python -m training.alignment.serve` at work on a model folder."""

    url: str
    model: str
    key: str = SERVE_KEY

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"


@pytest.fixture
def llm_server() -> Iterator[StartServer]:
    """llm_server("--verdict", "first", key="sesame", rates={"429": 0.01}) starts a scripted one."""
    with contextlib.ExitStack() as running:

        def start(*arguments: str, **options: object) -> LlmServer:
            return running.enter_context(start_llm_server(*arguments, **options))  # type: ignore[arg-type]

        yield start


@pytest.fixture(scope="session")
def smollm2_folder() -> Path:
    """SmolLM2-135M-Instruct as a model folder, converted once for all workers of a test run."""
    folder = Path(os.environ["PREFLOOP_TESTS"]) / "smollm2"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        convert = [sys.executable, "-m", "training.alignment.convert", "--output", str(folder)]
        subprocess.run(convert, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def smollm2_server(smollm2_folder: Path) -> Iterator[ModelServer]:
    """The real SmolLM2 behind our own server, in another process."""
    with serve_model(smollm2_folder, "smollm2") as server:
        yield server


@contextlib.contextmanager
def serve_model(folder: Path, name: str, *arguments: str) -> Iterator[ModelServer]:
    """Our own server over a model folder; it is dead when the block is left."""
    command = [sys.executable, "-m", "training.alignment.serve", str(folder), "--name", name]
    process = subprocess.Popen(
        [*command, "--port", "0", *arguments],
        cwd=ROOT,
        env={**os.environ, "PREFLOOP_SERVE_TOKEN": SERVE_KEY},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        assert "listening" in told, told
        yield ModelServer(told["listening"], name)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
