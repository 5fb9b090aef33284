"""manage.py serve: a model of this instance becomes a provider for as long as it is served."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import psutil
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from annotation.models import Provider, ProviderModel
from core.errors import PrefloopError
from core.local_origins import local_origins
from core.services.secret import open_secret
from tests.cast import Cast
from tests.training.conftest import TINY
from tests.training.test_promotion import make_version
from training.selectors.model import find_model
from training.services.serving import Served, Serving, served_name, serving

pytestmark = pytest.mark.django_db(transaction=True)
QUICK = {"port": 0, "rows": 2, "dtype": "float32", "device": "cpu"}


@pytest.fixture
def asked(cast: Cast, tiny_model_folder: Path) -> Serving:
    return Serving(find_model(cast.project, TINY), name=TINY, family="Llama", **QUICK)


def key_of(model: ProviderModel) -> str:
    assert model.provider.secret is not None
    return open_secret(model.provider.secret, model.provider.secret.origin)


def say(served: Served) -> str:
    provider = served.model.provider
    with openai.OpenAI(base_url=provider.base_url, api_key=key_of(served.model)) as client:
        reply = client.chat.completions.create(
            model=served.model.name, messages=[{"role": "user", "content": "hi"}], max_tokens=4
        )
    return reply.object


def test_it_is_a_provider_that_was_probed_and_may_be_called(asked: Serving) -> None:
    with serving(asked, actor=None) as first:
        assert say(first) == "chat.completion"
        assert first.model.probe_error == ""
        assert first.model.can["logprobs"]
        assert first.model.can["choices"]
        assert first.model.family == "Llama"
        assert first.model.provider.name == f"local: {TINY}"
        was, key = first.model.provider.base_url, key_of(first.model)
        assert was.removesuffix("/v1") in local_origins()
    assert first.process.poll() is not None
    assert not local_origins()
    # The same provider at its new address.
    with serving(asked, actor=None) as second:
        assert second.model == first.model
        assert second.model.provider.base_url != was
        assert key_of(second.model) != key
        assert say(second) == "chat.completion"


def test_what_the_server_says_is_told(asked: Serving, cast: Cast) -> None:
    folder = Path(settings.DATA_DIR) / "models" / "hollow"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"nothing")
    try:
        broken = Serving(find_model(cast.project, "hollow"), name="hollow", **QUICK)
        with pytest.raises(PrefloopError, match="backend tokenizer"), serving(broken, actor=None):
            raise AssertionError("it was served")
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    assert not Provider.objects.exists()
    assert not local_origins()


def test_versions_are_named_after_their_project(cast: Cast) -> None:
    make_version(cast, 1)
    choice = find_model(cast.project, "version:1")
    assert served_name(choice, cast.project.pk) == f"project-{cast.project.pk}-version-1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "no base model 'nothing' here; there are"),
        (["version:1"], "name it with --project"),
        (["promoted"], "name it with --project"),
        (["promoted", "--project", "1"], "has no promoted version"),
    ],
)
def test_what_cannot_be_served_is_refused(cast: Cast, arguments: list[str], words: str) -> None:
    project = [str(cast.project.pk) if word == "1" else word for word in arguments]
    with pytest.raises(CommandError, match=words):
        call_command("serve", *project)


@pytest.fixture
def command(
    process_environment: dict[str, str], tiny_model_folder: Path
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", TINY, "--port", "0", "--dtype", "float32"],
        cwd=settings.BASE_DIR,
        env=process_environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_the_server_ends_with_its_command(command: subprocess.Popen[str]) -> None:
    assert command.stdout is not None
    assert f"serves {TINY}" in command.stdout.readline()
    [server] = psutil.Process(command.pid).children()
    assert local_origins()
    command.send_signal(signal.SIGTERM)
    assert command.wait(120) == 0
    assert "The server has ended." in command.stdout.read()
    assert not psutil.pid_exists(server.pid)
    assert not local_origins()
