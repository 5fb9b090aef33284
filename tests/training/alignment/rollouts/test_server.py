"""Rollouts by a real server in another process."""

import json
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import chain

import numpy as np
import pytest
import torch

from tests.training.alignment import tiny
from tests.training.alignment.serve.conftest import TOKEN, served
from training.alignment.models import add_lora
from training.alignment.options import OptionError
from training.alignment.rollouts.build import build_rollouts
from training.alignment.rollouts.protocol import Prompt, RolloutError, RolloutSource
from training.alignment.rollouts.server import ServeSource, VllmSource
from training.alignment.rollouts.transformers import TransformersSource
from training.alignment.tokenization import encode_prompt

TOKENIZER = tiny.byte_tokenizer()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tiny.write_model(tmp_path_factory.mktemp("rollouts") / "tiny")) as running:
        yield running


@pytest.fixture(autouse=True)
def _token(monkeypatch):
    monkeypatch.setenv("PREFLOOP_SERVE_TOKEN", TOKEN)


def source(server, kind="serve", **changes):
    settings = {"kind": kind, "url": server.url, "model": "tiny", "folder": str(server.folder)}
    return build_rollouts(
        {**settings, **changes}, policy=None, tokenizer=TOKENIZER, dtype=torch.float32
    )


def prompts(*texts):
    return [
        Prompt(text, encode_prompt(tiny.user(text), TOKENIZER), tiny.user(text), {"answer": text})
        for text in texts
    ]


def sample(source, asked, **overrides):
    wanted = {"per_prompt": 3, "seed": 7, "max_new_tokens": 16, "temperature": 1.0, **overrides}
    return source.sample(asked, **wanted)


def tempered(model, rollout, temperature):
    ids = torch.tensor([[*rollout.prompt, *rollout.completion]])
    with torch.no_grad():
        logits = model(ids).logits[0, len(rollout.prompt) - 1 : -1] / temperature
    tokens = torch.from_numpy(rollout.completion.astype(np.int64))
    return logits.log_softmax(1).gather(1, tokens[:, None])[:, 0].numpy()


def test_log_probs_are_those_of_the_sampling_temperature(server):
    groups = sample(source(server), prompts("a", "b?"), temperature=0.7)
    for rollout in chain(*groups):
        expected = tempered(tiny.llama(), rollout, 0.7)
        np.testing.assert_allclose(rollout.log_probs, expected, atol=1e-4)
    assert [[rollout.group for rollout in group] for group in groups] == [[0] * 3, [1] * 3]
    first = groups[1][0]
    assert (first.prompt_text, first.facts) == (tiny.user("b?"), {"answer": "b?"})
    text = TOKENIZER.decode([int(token) for token in first.completion], skip_special_tokens=True)
    assert first.text == text


def test_a_sample_depends_on_seed_prompt_and_number_only(server):
    together = sample(source(server, concurrency=8), prompts("a", "b", "c", "d"))
    (alone,) = sample(source(server, concurrency=1), prompts("b"))
    (other,) = sample(source(server), prompts("b"), seed=8)
    written = [list(rollout.completion) for rollout in together[1]]
    assert written == [list(rollout.completion) for rollout in alone]
    assert len({tuple(tokens) for tokens in written}) == 3
    assert written != [list(rollout.completion) for rollout in other]


def test_many_samples_of_a_prompt_are_all_different_calls(server):
    (group,) = sample(source(server), prompts("a"), per_prompt=70, max_new_tokens=4)
    assert len(group) == 70
    assert len({tuple(rollout.completion) for rollout in group}) > 60


def test_vllms_source_speaks_the_same_protocol(server):
    vllm = source(server, "vllm")
    assert isinstance(vllm, VllmSource)
    assert isinstance(vllm, RolloutSource)
    for rollout in chain(*sample(vllm, prompts("a"))):
        expected = tempered(tiny.llama(), rollout, 1.0)
        np.testing.assert_allclose(rollout.log_probs, expected, atol=1e-4)


def test_vllm_must_report_what_was_sampled_with(server):
    with pytest.raises(RolloutError, match="--logprobs-mode processed_logprobs"):
        sample(source(server, "vllm"), prompts("a"), temperature=0.7)
    with pytest.raises(RolloutError, match="--logprobs-mode processed_logprobs"):
        sample(source(server, "vllm"), prompts("a"), top_p=0.9)


def test_update_writes_the_folder_and_samples_from_it(tmp_path):
    with served(tiny.write_model(tmp_path / "tiny")) as running:
        ask = source(running)
        changed = tiny.llama(seed=5)
        ask.update(changed)
        for rollout in chain(*sample(ask, prompts("a"))):
            expected = tempered(changed, rollout, 1.0)
            np.testing.assert_allclose(rollout.log_probs, expected, atol=1e-4)
        adapted = add_lora(changed, rank=4, alpha=8.0, dropout=0.0)
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.1)
        ask.update(adapted)
        assert any("lora_B" in name for name, _ in adapted.named_parameters())
        for rollout in chain(*sample(ask, prompts("a"))):
            expected = tempered(adapted.eval(), rollout, 1.0)
            np.testing.assert_allclose(rollout.log_probs, expected, atol=1e-4)


class Recording(HTTPServer):
    """Notes what it is asked and answers as the test says."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Recorder)
        self.asked, self.reply, self.folder = [], {}, folder
        self.url = f"http://127.0.0.1:{self.server_port}"


class Recorder(BaseHTTPRequestHandler):
    server: Recording

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, json.loads(body)))
        data = json.dumps(self.server.reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def recorder(tmp_path):
    server = Recording(tmp_path / "model")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_vllm_is_told_to_load_the_folder_and_to_forget_old_prefixes(recorder):
    source(recorder, "vllm").update(tiny.llama())
    assert recorder.asked == [
        ("/collective_rpc", {"method": "reload_weights"}),
        ("/reset_prefix_cache", {}),
    ]
    assert (recorder.folder / "model.safetensors").exists()


CHOICE = {"index": 0, "text": "a", "finish_reason": "stop"}


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ([{**CHOICE, "logprobs": None, "token_ids": [1]}], "no log-probabilities"),
        ([{**CHOICE, "logprobs": {"token_logprobs": [-1.0]}}], "no token ids"),
        ([{**CHOICE, "logprobs": {"token_logprobs": [None]}, "token_ids": [1]}], "no log-prob"),
        ([{**CHOICE, "logprobs": {"token_logprobs": [-1.0]}, "token_ids": [1, 2]}], "no token ids"),
        ([], "gave 0 of 1 answers"),
    ],
)
def test_an_answer_without_log_probs_is_an_error(recorder, choices, message):
    recorder.reply = {"id": "1", "object": "text_completion", "choices": choices}
    with pytest.raises(RolloutError, match=message):
        sample(source(recorder, "vllm"), prompts("a"), per_prompt=1)


def test_vllm_is_told_to_sample_from_the_policy_alone(recorder):
    choice = {**CHOICE, "logprobs": {"token_logprobs": [-1.0]}, "token_ids": [1]}
    recorder.reply = {"id": "1", "object": "text_completion", "choices": [choice]}
    sample(source(recorder, "vllm"), prompts("a"), per_prompt=1)
    ((_, body),) = recorder.asked
    neutral = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
    neutral |= {"presence_penalty": 0.0, "frequency_penalty": 0.0}
    assert {name: body.get(name) for name in neutral} == neutral


def test_a_server_that_is_not_there_is_named():
    gone = {"kind": "serve", "url": "http://127.0.0.1:9", "model": "m", "folder": "f"}
    ask = build_rollouts(gone, policy=None, tokenizer=TOKENIZER, dtype=torch.float32)
    assert isinstance(ask, ServeSource)
    with pytest.raises(RolloutError, match=r"serve at http://127\.0\.0\.1:9"):
        sample(ask, prompts("a"))


STOPPED = """
import sys
import numpy as np
from training.alignment.rollouts.protocol import Prompt
from training.alignment.rollouts.server import ServeSource
from training.alignment.rollouts.settings import ServerOptions
from training.alignment.supervision import StopRequest

stop = StopRequest()
stop.listen()
stop.waits_for_loop = True
options = ServerOptions(kind="serve", url=sys.argv[1], model="m", folder="f", concurrency=2)
source = ServeSource(options, None)
prompts = [Prompt(name, np.array([1], dtype=np.int32), name) for name in "abc"]
wanted = {"per_prompt": 1, "seed": 0, "max_new_tokens": 1, "temperature": 1.0}
print(stop.cut_short(lambda: source.sample(prompts, **wanted)))
"""


def test_a_stopped_run_waits_for_no_call_in_hand():
    """Longest wait for a call: ten minutes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-c", STOPPED, url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                silent.settimeout(120)
                calls = [silent.accept()[0] for _ in range(2)]
                process.send_signal(signal.SIGTERM)
                output, _ = process.communicate(timeout=60)
            finally:
                process.kill()
    for call in calls:
        call.close()
    assert (process.returncode, output) == (0, "None\n")


def test_without_settings_the_policy_in_memory_samples():
    built = build_rollouts({}, policy=tiny.llama(), tokenizer=TOKENIZER, dtype=torch.float32)
    assert isinstance(built, TransformersSource)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "magic"}, "rollout_source.kind: 'magic' is not one of"),
        ({"rows": 0}, "rollout_source.rows: 0 is below"),
        ({"kind": "serve", "model": "m", "folder": "f"}, "rollout_source.url: is required"),
        (
            {"kind": "serve", "url": "file:///x", "model": "m", "folder": "f"},
            "rollout_source.url: 'file:///x' is no http address",
        ),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(OptionError, match=message):
        build_rollouts(settings, policy=None, tokenizer=TOKENIZER, dtype=torch.float32)
