"""A real server in another process over the tiny model, asked by the real openai client."""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from tests.training.alignment import tiny

TOKEN = "sesame"


@dataclass
class Running:
    process: subprocess.Popen
    url: str
    folder: Path

    def client(self, **options):
        values = {"api_key": TOKEN, "max_retries": 0, "timeout": 60.0, **options}
        return openai.OpenAI(base_url=f"{self.url}/v1", **values)


@contextlib.contextmanager
def served(folder, *arguments):
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "training.alignment.serve", str(folder), "--name", "tiny"),
            *("--port", "0", "--dtype", "float32", "--threads", "1", *arguments),
        ],
        env={**os.environ, "PREFLOOP_SERVE_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        ready = json.loads(process.stdout.readline())
        yield Running(process, ready["listening"], folder)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tiny.write_model(tmp_path_factory.mktemp("served") / "tiny")
    with served(folder) as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    with server.client() as client:
        yield client
