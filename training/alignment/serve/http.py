"""The HTTP side: connections, who may ask, what is asked, and answers as JSON."""

import contextlib
import hmac
import json
import logging
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from training.alignment.serve.batching import Batcher, Job
from training.alignment.serve.errors import ApiError, unavailable
from training.alignment.serve.replies import chat_reply, completion_reply
from training.alignment.serve.wanted import Served, Wanted, parse_chat, parse_completion

logger = logging.getLogger(__name__)

LARGEST_BODY = 16 * 2**20
_LOOK_SECONDS = 0.25
_LOCAL = {"localhost", "127.0.0.1", "::1"}

Parse = Callable[[Mapping[str, Any], Served], Wanted]
Reply = Callable[[Wanted, Any, Served], Any]
_CALLS: Mapping[str, tuple[Parse, Reply]] = {
    "/v1/chat/completions": (parse_chat, chat_reply),
    "/v1/completions": (parse_completion, completion_reply),
}


class Server(ThreadingHTTPServer):
    """Listens on one address. A thread a connection; they wait while the batcher works."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(
        self,
        address: tuple[str, int],
        batcher: Batcher,
        served: Callable[[], Served],
        token: str | None,
    ) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.batcher = batcher
        self.served = served
        self.token = token
        self._answering = 0
        self._changed = threading.Condition()
        super().__init__(address, Handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """A call is being answered: a shutdown lets it finish."""
        with self._changed:
            self._answering += 1
        try:
            yield
        finally:
            with self._changed:
                self._answering -= 1
                self._changed.notify_all()

    def close(self, grace: float) -> None:
        """Answer what is in hand, refuse what comes, and stop listening."""
        self.batcher.close(grace)
        with self._changed:
            self._changed.wait_for(lambda: self._answering == 0, 2.0)
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of the server's."""
        logger.debug("A connection broke off.", exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open between calls."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "prefloop"
    sys_version = ""
    timeout = 120.0
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Health, which needs no token, and the list of models."""
        self._respond(self._get)

    def do_POST(self) -> None:
        """Completions, and loading the weights anew."""
        self._respond(self._post)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """No line a call: the clients keep account of theirs."""

    def _respond(self, act: Callable[[], Any]) -> None:
        with self.server.answering():
            try:
                self._send(200, act())
            except ApiError as error:
                self._send(error.status, error.body())
            except ConnectionError:
                self.close_connection = True
            # The boundary of the process: the client gets a sentence, the log the traceback.
            except Exception:
                logger.exception("A call could not be answered.")
                failed = ApiError("The server failed.", status=500, kind="server_error")
                self._send(failed.status, failed.body())

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        if status in (429, 503):
            self.send_header("Retry-After", "1")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def _get(self) -> Any:
        path = self.path.partition("?")[0]
        served = self.server.served()
        if path == "/health":
            if not self.server.batcher.is_alive:
                raise unavailable("The engine has stopped; start the server again.")
            return {"status": "ok", "model": served.name, **self.server.batcher.load_figures}
        self._admit()
        if path == "/v1/models":
            return {"object": "list", "data": [_model(served)]}
        if path == f"/v1/models/{served.name}":
            return _model(served)
        raise _not_found(path)

    def _post(self) -> Any:
        # Whatever is refused before the body is read would be taken for the next call.
        self.close_connection = True
        self._admit()
        path = self.path.partition("?")[0]
        body = self._body()
        self.close_connection = self.headers.get("Connection", "").lower() == "close"
        if path == "/admin/reload":
            job = self._wait(self.server.batcher.reload())
            job.result()
            return {"status": "ok", "system_fingerprint": self.server.served().fingerprint}
        if path not in _CALLS:
            raise _not_found(path)
        parse, reply = _CALLS[path]
        served = self.server.served()
        _check_model(body, served)
        wanted = parse(body, served)
        job = self._wait(self.server.batcher.submit(wanted.requests))
        return reply(wanted, job.result(), self.server.served())

    def _wait(self, job: Job) -> Job:
        """Until the job is done; a client that has gone takes its job with it."""
        while not job.done.wait(_LOOK_SECONDS):
            if _has_gone(self.connection):
                self.server.batcher.cancel(job)
                raise ConnectionResetError
        return job

    def _admit(self) -> None:
        """The bearer of the token; without one, only programs of this machine."""
        if self.server.token is None:
            # A web page that a browser was lured to comes under another host's name.
            host = self.headers.get("Host", "").rpartition(":")
            name = (host[0] or host[2]).strip("[]")
            if name not in _LOCAL:
                raise ApiError("Ask by the name localhost.", status=403, code="wrong_host")
            return
        given = self.headers.get("Authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, f"Bearer {self.server.token}".encode()):
            raise ApiError(
                "The bearer token is missing or wrong.", status=401, code="invalid_api_key"
            )

    def _body(self) -> dict[str, Any]:
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiError("The body must be application/json.", status=415)
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise ApiError("Content-Length is missing.", status=411)
        if int(length) > LARGEST_BODY:
            raise ApiError(f"The body is larger than {LARGEST_BODY} bytes.", status=413)
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise ApiError(f"The body is no JSON: {error}") from error
        except RecursionError as error:
            raise ApiError("The body is nested too deeply.") from error
        if not isinstance(body, dict):
            raise ApiError("The body must be a JSON object.")
        return body


def _has_gone(connection: socket.socket) -> bool:
    # select() knows no descriptor above 1023, and each connection has one.
    looked = select.poll()
    looked.register(connection, select.POLLIN)
    if not looked.poll(0):
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


def _check_model(body: Mapping[str, Any], served: Served) -> None:
    name = body.get("model")
    if not isinstance(name, str):
        raise ApiError("'model' must be the name of a model.", param="model", code="invalid_value")
    if name != served.name:
        raise ApiError(
            f"The model '{name}' does not exist; this server has '{served.name}'.",
            status=404,
            param="model",
            code="model_not_found",
        )


def _model(served: Served) -> dict[str, Any]:
    return {
        "id": served.name,
        "object": "model",
        "created": 0,
        "owned_by": "prefloop",
        "system_fingerprint": served.fingerprint,
        "max_model_len": served.positions,
    }


def _not_found(path: str) -> ApiError:
    return ApiError(f"There is nothing at {path}.", status=404, code="not_found")
