"""The server as a process: loading anew, ending, and dying with its parent."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import psutil
import pytest

from tests.training.alignment import tiny
from tests.training.alignment.serve.conftest import TOKEN, served


def post(url, body=b"{}"):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    request = urllib.request.Request(url, body, headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
        return json.load(reply)


def say(client, **options):
    values = {"model": "tiny", "messages": tiny.user("why?"), "temperature": 0, "max_tokens": 20}
    return client.chat.completions.create(**{**values, **options})


def test_weights_are_loaded_anew_and_calls_in_hand_are_answered(tmp_path):
    folder = tiny.write_model(tmp_path / "tiny")
    with served(folder) as running, running.client() as client:
        before = say(client)
        tiny.write_model(folder, seed=5)
        assert say(client).system_fingerprint == before.system_fingerprint
        assert post(f"{running.url}/admin/reload")["status"] == "ok"
        after = say(client)
        assert after.system_fingerprint != before.system_fingerprint
        assert after.choices[0].message.content != before.choices[0].message.content
        (folder / "model.safetensors").write_bytes(b"broken")
        with pytest.raises(urllib.error.HTTPError, match="500") as raised:
            post(f"{running.url}/admin/reload")
        assert json.load(raised.value)["error"]["code"] == "reload_failed"
        assert say(client).choices[0].message.content == after.choices[0].message.content
        _ends_after_answering(running, client)


def _ends_after_answering(running, client):
    replies = []
    # Of seconds: long enough to be met in hand, and far below the grace of a server that ends.
    call = {"n": 32, "max_tokens": 200, "temperature": 1.0}
    thread = threading.Thread(target=lambda: replies.append(say(client, **call)))
    thread.start()
    health = f"{running.url}/health"
    while json.load(urllib.request.urlopen(health))["running"] == 0:  # noqa: S310
        time.sleep(0.01)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(120) == 0
    thread.join()
    assert len(replies[0].choices) == 32


def test_a_supervised_server_dies_with_its_parent(tmp_path):
    folder = tiny.write_model(tmp_path / "tiny")
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'training.alignment.serve', sys.argv[1],"
        " '--port', '0', '--supervised'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True
    )
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert child.wait(120) is None or not child.is_running()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "can be reached from other machines"),  # noqa: S104
        ([], "is not a model folder"),
        (["--token-file", os.devnull], "is empty: write the token into it"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(tmp_path, arguments, words):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "training.alignment.serve", str(tmp_path), "--port", "0"),
            *arguments,
        ],
        env={name: value for name, value in os.environ.items() if "TOKEN" not in name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert words in json.loads(done.stdout)["error"]
    assert "Failed unexpectedly" not in done.stdout


def test_a_port_that_is_taken_is_named(model_folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [
                *(sys.executable, "-m", "training.alignment.serve", str(model_folder)),
                *("--port", port, "--device", "cpu", "--dtype", "float32"),
            ],
            env={name: value for name, value in os.environ.items() if "TOKEN" not in name},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"].startswith(f"port: {port} on 127.0.0.1 cannot be")
