"""Base models: found in the operator's folders, made from a package, fetched from a hub."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from core import jobs
from core.errors import PrefloopError
from core.models import Job
from tests.cast import Cast
from tests.training.conftest import TINY
from training.selectors.model import SMALL_MODEL, Source, base_models, find_model
from training.services import request_base_model

COMMIT = "a" * 40


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> Path:
    settings.DATA_DIR = tmp_path / "data"
    settings.MODEL_DIRS = [tmp_path / "shelf", settings.DATA_DIR / "models"]
    (tmp_path / "shelf").mkdir()
    settings.DATA_DIR.mkdir()
    return tmp_path


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as a download of one repository needs."""

    files: dict[str, bytes] = {}
    asked: list[str] = []

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.asked.append(self.path)
        if "/tree/" in self.path:
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                for name, content in self.files.items()
            ]
            return self._send(json.dumps(tree).encode(), body)
        if self.path.startswith("/api/models/acme/tiny"):
            siblings = [{"rfilename": name} for name in self.files]
            return self._send(
                json.dumps({"id": "acme/tiny", "sha": COMMIT, "siblings": siblings}).encode(), body
            )
        content = self.files.get(self.path.rpartition("/")[2])
        if content is None:
            return self.send_error(404)
        return self._send(content, body)

    def _send(self, content: bytes, body: bool) -> None:
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """The test's output is not the place."""


@pytest.fixture
def hub(tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Hub]:
    Hub.files = {file.name: file.read_bytes() for file in tiny_model_folder.iterdir()}
    Hub.files |= {"pytorch_model.bin": b"a pickle", "modeling.py": b"print('code')"}
    Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    settings.MODEL_HUB_NAMES = ["acme/tiny", "acme/absent"]
    yield Hub  # type: ignore[misc]
    server.shutdown()
    server.server_close()


def names() -> list[str]:
    return [choice.name for choice in base_models()]


def finished(job: Job) -> Job:
    jobs.run(job.pk)
    job.refresh_from_db()
    return job


def test_folders_of_the_operator_are_offered(tiny_model_folder: Path, folders: Path) -> None:
    (folders / "shelf" / "mine").symlink_to(tiny_model_folder)
    (folders / "shelf" / "empty").mkdir()
    (folders / "shelf" / "pickle").mkdir()
    (folders / "shelf" / "pickle" / "config.json").write_text("{}")
    (folders / "shelf" / "pickle" / "pytorch_model.bin").write_bytes(b"")
    assert names() == sorted(["mine", SMALL_MODEL])


def test_the_packaged_model_stays_so_when_it_is_prepared(
    tiny_model_folder: Path, folders: Path
) -> None:
    prepared = folders / "data" / "models" / SMALL_MODEL
    prepared.parent.mkdir()
    prepared.symlink_to(tiny_model_folder)
    (choice,) = base_models()
    assert (choice.source, choice.is_ready) == (Source.PACKAGE, True)
    (folders / "shelf" / SMALL_MODEL).symlink_to(tiny_model_folder)
    (choice,) = base_models()
    assert choice.source is Source.FOLDER  # the operator's own of that name


@pytest.mark.parametrize("name", ["../shelf/mine", "/etc", "", "version:1", "mine/..", "MINE"])
def test_nothing_else_is(tiny_model_folder: Path, folders: Path, cast: Cast, name: str) -> None:
    (folders / "shelf" / "mine").symlink_to(tiny_model_folder)
    assert find_model(cast.project, "mine").is_ready
    with pytest.raises(PrefloopError, match="is not offered here"):
        find_model(cast.project, name)


def test_an_allowed_name_is_fetched_once_without_code(hub: Hub, cast: Cast) -> None:
    assert "acme/tiny" in names()
    assert not find_model(cast.project, "acme/tiny").is_ready
    job = finished(request_base_model(created_by=cast.ada, name="acme/tiny"))
    assert (job.state, job.error) == (Job.State.SUCCEEDED, "")
    choice = find_model(cast.project, "acme/tiny")
    assert choice.is_ready
    fetched = {file.name for file in choice.folder.iterdir()}
    assert fetched == set(hub.files) - {"pytorch_model.bin", "modeling.py"}
    assert not [path for path in hub.asked if path.endswith((".bin", ".py"))]
    assert names().count("acme/tiny") == 1
    assert "acme--tiny" not in names()
    assert request_base_model(created_by=None, name="acme/tiny").pk == job.pk


@pytest.mark.usefixtures("hub")
def test_a_model_that_cannot_be_fetched_says_why(cast: Cast) -> None:
    job = finished(request_base_model(created_by=cast.ada, name="acme/absent"))
    assert job.state == Job.State.FAILED
    assert "acme/absent could not be prepared" in job.error
    assert "404" in job.error


@pytest.mark.usefixtures("tiny_model_folder")
def test_a_model_that_is_not_offered_is_not_prepared(cast: Cast) -> None:
    job = finished(request_base_model(created_by=cast.ada, name=f"{TINY}-other"))
    assert "is not offered here" in job.error
