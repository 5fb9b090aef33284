"""What goes over the wire when a client is odd, slow, gone, or one of too many."""

import fcntl
import http.client
import json
import resource
import socket
import threading

import pytest

from tests.training.alignment import tiny
from training.alignment.generation import Engine
from training.alignment.serve.batching import Batcher
from training.alignment.serve.http import LARGEST_BODY, Server, _has_gone
from training.alignment.serve.wanted import Served
from training.alignment.tokenization import end_tokens

TOKENIZER = tiny.byte_tokenizer()
SERVED = Served("tiny", TOKENIZER, 256, "fp_0", 200)
CALL = {"model": "tiny", "prompt": "why?", "max_tokens": 4, "seed": 1}


class Gate(Engine):
    """An engine that waits at a gate before each step, so that a test holds calls in hand."""

    def __init__(self):
        super().__init__(tiny.llama(), end_tokens(TOKENIZER), rows=4)
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()
        self.broken = False
        self.stays_broken = False
        self.cancelled = threading.Event()

    def step(self):
        self.reached.set()
        self.open.wait(30)
        if self.broken:
            raise RuntimeError("out of luck")
        return super().step()

    def clear(self):
        if self.stays_broken:
            raise RuntimeError("out of luck for good")
        super().clear()

    def cancel(self, request):
        if self.broken:
            raise RuntimeError("out of luck")
        super().cancel(request)
        self.cancelled.set()


@pytest.fixture
def engine():
    return Gate()


@pytest.fixture
def server(engine):
    batcher = Batcher(lambda: engine, waiting=2)
    server = Server(("127.0.0.1", 0), batcher, lambda: SERVED, None)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    engine.open.set()
    server.close(5.0)


def connect(server):
    return http.client.HTTPConnection(*server.server_address, timeout=30)


def ask(server, method="POST", path="/v1/completions", body=CALL, **headers):
    connection = connect(server)
    data = body if isinstance(body, bytes) else json.dumps(body)
    connection.request(method, path, data, {"Content-Type": "application/json", **headers})
    reply = connection.getresponse()
    found = json.load(reply)
    connection.close()
    return reply, found


def in_thread(server):
    found = []
    thread = threading.Thread(target=lambda: found.append(ask(server)))
    thread.start()
    return thread, found


def test_a_connection_serves_many_calls(server):
    connection = connect(server)
    for _ in range(3):
        connection.request(
            "POST", "/v1/completions", json.dumps(CALL), {"Content-Type": "application/json"}
        )
        reply = connection.getresponse()
        assert reply.status == 200
        json.load(reply)
    connection.close()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"body": b"{"}, 400),
        ({"body": b"[1]"}, 400),
        ({"body": b"[" * 100_000}, 400),
        ({"body": b"\xff\xfe"}, 400),
        ({"body": {**CALL, "temperature": float("nan")}}, 400),
        ({"body": {"prompt": "x"}}, 400),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Length": str(LARGEST_BODY + 1)}, 413),
        ({"Content-Length": "-5"}, 411),
        ({"path": "/v1/embeddings"}, 404),
        ({"method": "GET", "path": "/v1/nothing"}, 404),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example:80"}, 403),
        ({"method": "GET", "path": "/v1/models", "Host": "evil.example"}, 403),
    ],
)
def test_what_is_wrong_is_answered_in_openais_shape(server, changes, status):
    reply, body = ask(server, **changes)
    assert reply.status == status
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    assert ask(server)[0].status == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:8000"])
def test_programs_of_this_machine_need_no_token(server, host):
    assert ask(server, Host=host)[0].status == 200


def test_health_tells_what_is_in_hand(server, engine):
    engine.open.clear()
    thread, found = in_thread(server)
    assert engine.reached.wait(30)
    _, health = ask(server, "GET", "/health")
    assert health == {"status": "ok", "model": "tiny", "running": 1, "waiting": 0}
    engine.open.set()
    thread.join()
    assert found[0][0].status == 200


def test_one_call_too_many_is_asked_to_come_again(server, engine):
    engine.open.clear()
    first, one = in_thread(server)
    assert engine.reached.wait(30)
    second, two = in_thread(server)
    while not server.batcher.load_figures["waiting"]:
        engine.reached.wait(0.01)
    reply, body = ask(server)
    assert (reply.status, reply.headers["Retry-After"]) == (429, "1")
    assert body["error"]["type"] == "rate_limit_error"
    engine.open.set()
    first.join()
    second.join()
    assert [found[0][0].status for found in (one, two)] == [200, 200]


def test_a_client_that_leaves_takes_its_call_with_it(server, engine):
    engine.open.clear()
    body = json.dumps({**CALL, "max_tokens": 200}).encode()
    with socket.create_connection(server.server_address) as connection:
        connection.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        assert engine.reached.wait(30)
    while not server.batcher._cancelled:
        engine.cancelled.wait(0.01)
    engine.open.set()
    assert engine.cancelled.wait(30)
    assert ask(server)[0].status == 200
    assert not engine.busy


def test_a_client_is_watched_whatever_its_connections_number():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        near, far = socket.socketpair()
        with near, far:
            high = fcntl.fcntl(near.fileno(), fcntl.F_DUPFD_CLOEXEC, 1024)
            with socket.socket(fileno=high) as connection:
                assert not _has_gone(connection)
                far.close()
                assert _has_gone(connection)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_broken_engine_answers_with_an_error_and_goes_on(server, engine):
    engine.broken = True
    reply, body = ask(server)
    assert (reply.status, body["error"]["code"]) == (500, "engine_failed")
    assert "luck" not in json.dumps(body)
    engine.broken = False
    assert ask(server)[0].status == 200


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_engine_that_cannot_go_on_answers_and_is_told_by_health(server, engine):
    engine.broken = engine.stays_broken = True
    assert ask(server)[0].status == 500
    server.batcher._thread.join(30)
    reply, body = ask(server, "GET", "/health")
    assert (reply.status, body["error"]["code"]) == (503, "unavailable")
    for path in ("/v1/completions", "/admin/reload"):
        assert ask(server, path=path)[0].status == 503


def test_a_cancel_that_fails_ends_the_calls_and_not_the_server(server, engine):
    engine.open.clear()
    thread, found = in_thread(server)
    assert engine.reached.wait(30)
    (job,) = [job for job, _ in server.batcher._jobs.values()]
    server.batcher.cancel(job)
    engine.broken = True
    engine.open.set()
    thread.join()
    assert found[0][0].status == 500
    engine.broken = False
    assert ask(server)[0].status == 200
    assert server.batcher.is_alive


def test_a_token_that_the_model_has_no_embedding_of_is_refused(server):
    assert len(TOKENIZER) > SERVED.embeddings
    assert ask(server, body={**CALL, "prompt": [199]})[0].status == 200
    reply, body = ask(server, body={**CALL, "prompt": [200]})
    assert reply.status == 400
    assert "from 0 to 199" in body["error"]["message"]


def test_a_server_that_ends_refuses_new_calls(server, engine):
    engine.open.clear()
    thread, found = in_thread(server)
    assert engine.reached.wait(30)
    closing = threading.Thread(target=server.batcher.close, args=(30.0,))
    closing.start()
    while not server.batcher._closing:
        engine.cancelled.wait(0.01)
    reply, body = ask(server)
    assert (reply.status, body["error"]["code"]) == (503, "unavailable")
    engine.open.set()
    thread.join()
    closing.join()
    assert found[0][0].status == 200


def test_what_is_not_done_in_time_is_given_up(server, engine):
    engine.open.clear()
    thread, found = in_thread(server)
    assert engine.reached.wait(30)
    server.batcher.close(0.05)
    thread.join()
    assert found[0][0].status == 503
