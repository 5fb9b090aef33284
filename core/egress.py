"""The one way out to addresses that people give: no stranger's URL reaches the inside.

Every address that a host resolves to must belong to the public internet, and the connection goes to
the very address that was checked, so a name that changes its mind between the two (DNS rebinding)
gains nothing. Redirects are not followed, proxies of the environment are not used, and a reply is
bounded in size and time. The operator alone can allow an origin inside, in PREFLOOP_EGRESS_ORIGINS:
exactly this scheme, host and port, or by starting a server there with `manage.py serve`.
"""

from __future__ import annotations

import asyncio
import functools
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import httpcore2
import httpx2
from django.conf import settings

from core.errors import PrefloopError
from core.global_addresses import LINK_LOCAL, METADATA, why_not_global
from core.local_origins import local_origins

CONNECT_SECONDS = 10.0
# uvicorn and Node close a connection that was idle for five seconds; a call sent into that is lost.
IDLE_SECONDS = 4.0
MOST_BYTES = 16 * 1024 * 1024
SHOWN_CHARACTERS = 200
DEFAULT_PORTS = {"http": 80, "https": 443}
SETTING = "PREFLOOP_EGRESS_ORIGINS"

# A name, or an address; nothing that programs read in different ways.
_HOST = re.compile(rb"[A-Za-z0-9._:-]+")
Resolve = Callable[[str, int], Awaitable[list[str]]]
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]+")


class EgressRefused(PrefloopError):
    """Nothing was sent: the address is not one that strangers may send us to."""

    code = "egress_refused"


class ReplyRefused(PrefloopError):
    """What came back is larger than allowed, or packed."""

    code = "reply_refused"
    status = 502


def check_url(url: str) -> str:
    """The URL without a trailing slash. Refuses what can be told without asking for its address."""
    parsed = _parsed(url)
    if parsed.query or parsed.fragment:
        raise EgressRefused("The URL ends before ? and #. Leave that part out.")
    _check_port(parsed)
    literal = _literal(parsed.host)
    if literal is not None:
        _check_addresses(_origin(parsed), [literal])
    return str(parsed).rstrip("/")


def origin_of(url: str) -> str:
    """scheme://host:port in one spelling; the port is left out where it is the scheme's own."""
    return _origin(_parsed(url))


def shown_reply(status: int, text: str) -> str:
    """All that a person gets to see of a strange server's reply."""
    plain = _CONTROLS.sub(" ", text).strip()
    cut = f"{plain[:SHOWN_CHARACTERS]}…" if len(plain) > SHOWN_CHARACTERS else plain
    return f"{status}: {cut}" if cut else str(status)


def guarded_client(*, seconds: float, most_bytes: int = MOST_BYTES) -> httpx2.AsyncClient:
    """A client for people's URLs; `seconds` bound a whole exchange, from connecting to the end."""
    return httpx2.AsyncClient(
        transport=GuardedTransport(seconds=seconds, most_bytes=most_bytes),
        follow_redirects=False,
        trust_env=False,
        timeout=None,
        headers={"accept-encoding": "identity"},
    )


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Checks, connects to what it checked, and reads a bounded reply whole.

    Idle connections wait in a plain stack: a pool that looks at all of them for each request costs
    more than the request. How many there are is bounded by how many calls its user has out at once.
    """

    def __init__(
        self,
        *,
        seconds: float,
        most_bytes: int = MOST_BYTES,
        resolve: Resolve | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._resolve = resolve or _resolve
        self._context = context
        self._idle: dict[tuple[bytes, bytes, int], list[httpcore2.AsyncHTTP11Connection]] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        asked = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=request.stream,
        )
        try:
            async with asyncio.timeout(self._seconds):
                connection = self._waiting(asked.url.origin) or await self._connected(request)
                return await self._exchange(connection, asked)
        except TimeoutError as error:
            raise httpx2.ReadTimeout(f"No whole reply within {self._seconds:g} s.") from error
        except httpcore2.LocalProtocolError as error:
            raise httpx2.LocalProtocolError(str(error)) from error
        except httpcore2.RemoteProtocolError as error:
            raise httpx2.RemoteProtocolError(str(error)) from error
        except httpcore2.NetworkError as error:
            raise httpx2.ReadError(str(error)) from error

    async def aclose(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                await connection.aclose()
        self._idle.clear()
        # Sockets are closed by the loop's next turn.
        await asyncio.sleep(0)

    async def _exchange(
        self, connection: httpcore2.AsyncHTTP11Connection, asked: httpcore2.Request
    ) -> httpx2.Response:
        try:
            reply = await connection.handle_async_request(asked)
            body = await self._read(reply)
            await reply.aclose()
        except BaseException:
            await connection.aclose()
            raise
        if connection.is_idle():
            self._idle.setdefault(_key(asked.url.origin), []).append(connection)
        return httpx2.Response(reply.status, headers=reply.headers, content=body)

    async def _read(self, reply: httpcore2.Response) -> bytes:
        # Packed, a few bytes would become gigabytes; we asked for plain ones.
        for name, value in reply.headers:
            if name.lower() == b"content-encoding" and value.strip().lower() != b"identity":
                raise ReplyRefused("The reply is packed although a plain one was asked for.")
        size, parts = 0, []
        async for part in reply.aiter_stream():
            size += len(part)
            if size > self._most_bytes:
                raise ReplyRefused(f"The reply is larger than {self._most_bytes:,} bytes.")
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _waiting(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTP11Connection | None:
        connections = self._idle.get(_key(origin))
        while connections:
            connection = connections.pop()
            if not connection.has_expired():
                return connection
            connection._network_stream.abort()  # type: ignore[attr-defined]
        return None

    async def _connected(self, request: httpx2.Request) -> httpcore2.AsyncHTTP11Connection:
        url = _parsed(str(request.url))
        _check_port(url)
        host, port = url.raw_host.decode("ascii"), url.port or DEFAULT_PORTS[url.scheme]
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                addresses = await self._resolve(host, port)
                _check_addresses(_origin(url), addresses)
                stream = await self._opened(url.scheme, host, addresses, port)
        except TimeoutError as error:
            raise httpx2.ConnectTimeout(f"{_origin(url)} took too long to connect.") from error
        except OSError as error:
            raise httpx2.ConnectError(f"{_origin(url)}: {_words(error)}") from error
        return httpcore2.AsyncHTTP11Connection(
            origin=httpcore2.Origin(url.raw_scheme, url.raw_host, port),
            stream=stream,
            keepalive_expiry=IDLE_SECONDS,
        )

    async def _opened(self, scheme: str, host: str, addresses: list[str], port: int) -> _Stream:
        """The first of the checked addresses that answers; TLS is held against the name."""
        context = (self._context or _tls()) if scheme == "https" else None
        problem: OSError = OSError("it has no address")
        for address in addresses:
            try:
                # One that does not answer leaves time for the next, of the other IP version say.
                async with asyncio.timeout(CONNECT_SECONDS / 2):
                    reader, writer = await asyncio.open_connection(
                        address, port, ssl=context, server_hostname=host if context else None
                    )
            except OSError as error:
                problem = error
                continue
            return _Stream(reader, writer)
        raise problem


class _Stream(httpcore2.AsyncNetworkStream):
    """Head and body go out as one packet: what is written waits until an answer is awaited."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._unsent: list[bytes] = []

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            if self._unsent:
                unsent, self._unsent = b"".join(self._unsent), []
                self._writer.write(unsent)
                # A server may refuse a call before it has read it, so its answer is read anyway.
                with suppress(ConnectionError):
                    await self._writer.drain()
            return await self._reader.read(max_bytes)
        except OSError as error:
            raise httpcore2.ReadError(_words(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._unsent.append(buffer)

    async def aclose(self) -> None:
        self.abort()

    def abort(self) -> None:
        # Not to wait: a server that does not answer does not close its side either.
        self._writer.transport.abort()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # Nothing was asked, so what can be read is the end, or an answer to nothing.
            reader = self._reader
            return reader.at_eof() or bool(reader._buffer)  # type: ignore[attr-defined]
        return None


async def _resolve(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _parsed(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url.strip())
    except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
        raise EgressRefused("This is not a URL. Write it as https://host/path.") from error
    if parsed.scheme not in DEFAULT_PORTS:
        raise EgressRefused("Only http:// and https:// URLs can be called.")
    if not _HOST.fullmatch(parsed.raw_host):
        raise EgressRefused("The URL names no host. Write it as https://host/path.")
    if parsed.port is not None and not 0 < parsed.port < 65_536:
        raise EgressRefused("The URL's port is not between 1 and 65535.")
    if parsed.userinfo:
        raise EgressRefused("The URL holds a user name or a key. Give the key by itself.")
    return parsed


def _origin(url: httpx2.URL) -> str:
    host = url.raw_host.decode("ascii").lower().rstrip(".")
    shown = f"[{host}]" if ":" in host else host
    port = url.port or DEFAULT_PORTS[url.scheme]
    return f"{url.scheme}://{shown}" + ("" if port == DEFAULT_PORTS[url.scheme] else f":{port}")


def _key(origin: httpcore2.Origin) -> tuple[bytes, bytes, int]:
    return origin.scheme, origin.host, origin.port


def _literal(host: str) -> str | None:
    """The address that a host spells out, also in the old forms (one number, octal, hex)."""
    plain = host.strip("[]").rstrip(".").lower()
    if plain == "localhost" or plain.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return socket.inet_ntoa(socket.inet_aton(plain))
    except (OSError, UnicodeError):
        pass
    try:
        why_not_global(plain)
    except ValueError:
        return None
    return plain


def _check_port(url: httpx2.URL) -> None:
    port = url.port or DEFAULT_PORTS[url.scheme]
    if port in DEFAULT_PORTS.values() or port >= 1024 or _origin(url) in _allowed():
        return
    raise EgressRefused(
        f"Port {port} belongs to another service than a web server. {_how_to_allow(_origin(url))}"
    )


def _check_addresses(origin: str, addresses: Iterable[str]) -> None:
    if origin in _allowed():
        return
    for address in addresses:
        if what := why_not_global(address):
            # Keys of the whole machine lie there, and no model: nobody is advised to allow it.
            is_secret = what in (LINK_LOCAL, METADATA)
            advice = "Enter another address." if is_secret else _how_to_allow(origin)
            raise EgressRefused(
                f"{origin} is at {address}, {what}, and not on the public internet. {advice}"
            )


def _how_to_allow(origin: str) -> str:
    return (
        f"Whoever operates this instance can allow it: add {origin} to {SETTING} and start again."
    )


def is_operators(url: str) -> bool:
    """A server of whoever operates this instance: named by them, or where only they can lead."""
    literal = _literal(_parsed(url).host)
    return origin_of(url) in _allowed() or bool(literal and why_not_global(literal))


def _allowed() -> frozenset[str]:
    return _origins(tuple(settings.EGRESS_ORIGINS)) | local_origins()


@functools.cache
def _origins(urls: tuple[str, ...]) -> frozenset[str]:
    return frozenset(origin_of(url) for url in urls)


@functools.cache
def _tls() -> ssl.SSLContext:
    """The machine's certificates; SSL_CERT_FILE is the operator's way to add one's own."""
    context = httpx2.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _words(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
