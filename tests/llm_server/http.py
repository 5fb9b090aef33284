"""HTTP/1.1 with kept-alive connections, as much of it as OpenAI's clients speak."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
KEY = re.compile(rb"\r\nauthorization:\s*([^\r]*)", re.IGNORECASE)
HOST = re.compile(rb"\r\nhost:\s*([^\r]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    head: bytes
    body: bytes

    @property
    def authorization(self) -> str:
        return _first(KEY, self.head)

    @property
    def host(self) -> str:
        return _first(HOST, self.head)


@dataclass(frozen=True, slots=True)
class Sent:
    """What goes out: `pieces` of bytes with `pause` seconds between them, after `wait` seconds.

    No pieces: the call is never answered. `closes`: the connection ends after the last.
    """

    pieces: tuple[bytes, ...]
    wait: float = 0.0
    pause: float = 0.0
    closes: bool = False


Answering = Callable[[Asked], Sent]


class Connection(asyncio.Protocol):
    """Answers one call after the other; what comes meanwhile waits."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._buffer = bytearray()
        self._busy = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._busy:
            self._next()

    def _next(self) -> None:
        asked = self._take()
        if asked is None:
            return
        self._busy = True
        sent = self._answering(asked)
        if not sent.pieces:
            return
        pieces = deque(sent.pieces)
        if sent.wait:
            asyncio.get_running_loop().call_later(sent.wait, self._send, pieces, sent)
        else:
            self._send(pieces, sent)

    def _send(self, pieces: deque[bytes], sent: Sent) -> None:
        if self._transport is None:
            return
        self._transport.write(pieces.popleft())
        if pieces:
            asyncio.get_running_loop().call_later(sent.pause, self._send, pieces, sent)
        elif sent.closes:
            self._transport.close()
        else:
            self._busy = False
            if self._buffer:
                self._next()

    def _take(self) -> Asked | None:
        """The next call, once all of it is there."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self._buffer[: end + 2])
        found = LENGTH.search(head)
        stop = end + 4 + (int(found[1]) if found else 0)
        if len(self._buffer) < stop:
            return None
        body = bytes(self._buffer[end + 4 : stop])
        del self._buffer[:stop]
        method, path, _ = head.split(b" ", 2)
        return Asked(method.decode(), path.decode(), head, body)


def framed(status: int, body: Any, headers: str = "") -> bytes:
    """A whole answer with `body` as JSON, or as it is where it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    first = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
    return f"{first}Content-Length: {len(data)}\r\n{headers}\r\n".encode() + data


def _first(pattern: re.Pattern[bytes], head: bytes) -> str:
    found = pattern.search(head)
    return found[1].decode("utf-8", "replace").strip() if found else ""
