"""A browser that costs next to nothing: one kept-alive connection, the least parsing that does.

The load generator runs on the same cores as the server, so that what it uses the server lacks.
"""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

FORM = re.compile(r'<form[^>]*\bid="answer"[^>]*>')
ACTION = re.compile(r'\saction="([^"]+)"')
KIND = re.compile(r'\sdata-kind="([^"]+)"')
HIDDEN = re.compile(r'name="(assignment|client_key|protocol)" value="([^"]*)"')
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CSRF = re.compile(rb"\r\nset-cookie: *csrftoken=([^;\r]+)", re.IGNORECASE)
# The server closes a connection that was idle for two seconds.
IDLE_SECONDS = 1.5
TIMEOUT_SECONDS = 40.0


@dataclass(frozen=True)
class Reply:
    status: int
    text: str


@dataclass(frozen=True)
class Page:
    """What is on screen: the form, its hidden fields, the whole text."""

    action: str
    kind: str
    fields: dict[str, str]
    text: str

    @property
    def assignment(self) -> int:
        return int(self.fields["assignment"])


def read_page(text: str) -> Page | None:
    """None: there is nothing to judge."""
    form = FORM.search(text)
    if form is None:
        return None
    action, kind = ACTION.search(form[0]), KIND.search(form[0])
    assert action is not None, form[0]
    return Page(action[1], kind[1] if kind else "", dict(HIDDEN.findall(text)), text)


@dataclass
class Client:
    """Raises OSError when the connection broke before the whole reply was there."""

    port: int
    session: str
    csrf: str = ""
    buffer: bytes = b""
    connection: socket.socket | None = field(default=None, repr=False)
    used_at: float = 0.0

    def get(self, path: str) -> Reply:
        return self._send(f"GET {path} HTTP/1.1\r\n{self._headers()}\r\n".encode())

    def post(self, path: str, fields: dict[str, Any], *, htmx: bool = True) -> Reply:
        body = urlencode(fields)
        head = (
            f"POST {path} HTTP/1.1\r\n{self._headers()}X-CSRFToken: {self.csrf}\r\n"
            f"{'HX-Request: true' if htmx else 'Accept: text/html'}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return self._send((head + body).encode())

    def twin(self) -> Client:
        """Another connection of the same signed-in browser."""
        return Client(self.port, self.session, self.csrf)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection, self.buffer = None, b""

    def _headers(self) -> str:
        return (
            f"Host: 127.0.0.1:{self.port}\r\n"
            f"Cookie: sessionid={self.session}; csrftoken={self.csrf}\r\n"
        )

    def _send(self, request: bytes) -> Reply:
        try:
            connection = self._connected()
            connection.sendall(request)
            return self._reply(connection)
        except OSError:
            self.close()
            raise

    def _connected(self) -> socket.socket:
        if self.connection is not None and time.monotonic() - self.used_at > IDLE_SECONDS:
            self.close()
        if self.connection is None:
            self.connection = socket.create_connection(("127.0.0.1", self.port), TIMEOUT_SECONDS)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.connection

    def _reply(self, connection: socket.socket) -> Reply:
        data = self.buffer
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more(connection)
        head, data = data[:end], data[end + 4 :]
        length = LENGTH.search(head)
        size = int(length[1]) if length else 0
        parts, missing = [data], size - len(data)
        while missing > 0:
            parts.append(self._more(connection))
            missing -= len(parts[-1])
        whole = b"".join(parts)
        self.buffer, self.used_at = whole[size:], time.monotonic()
        token = CSRF.search(head)
        self.csrf = token[1].decode() if token else self.csrf
        if b"connection: close" in head.lower():
            self.close()
        return Reply(int(head[9:12]), whole[:size].decode())

    @staticmethod
    def _more(connection: socket.socket) -> bytes:
        data = connection.recv(65536)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        return data
