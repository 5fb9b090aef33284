"""People's URLs reach the public internet and nothing else, unless the operator allows it."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from core.egress import (
    SHOWN_CHARACTERS,
    EgressRefused,
    GuardedTransport,
    ReplyRefused,
    check_url,
    guarded_client,
    origin_of,
    shown_reply,
)
from core.global_addresses import why_not_global
from tests.core.listener import Listener, reply

# This machine, in every spelling that some program takes for it.
LOOPBACK = [
    "127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001",
    "0x7f.0.0.1", "0x7f.1", "017700000001", "0177.0.0.1", "0177.0.0.01", "0", "0x0",
    "0.0.0.0",  # noqa: S104
    "00000000", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::127.0.0.1]", "[2002:7f00:1::]",
    "[2002:7f00:1::1]", "[2001:0:7f00:1::]", "[2a00:1450::5efe:127.0.0.1]",
    "[2a00:1450::200:5efe:7f00:1]", "[::ffff:0.0.0.0]", "localhost", "LOCALHOST",
]  # fmt: skip
# Not every resolver and library takes these for addresses: then they lead nowhere.
ODD = [
    "a.localhost", "localhost.", "127.0.0.1.",
    "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021",
    "\u2460\u2461\u2466.0.0.1", "%31%32%37.0.0.1", "\u24db\u24deca\u24dbhost",
    "127.0.0.1%00.example.org", "127.0.0.1\\@1.1.1.1", "127.0.0.1:80\\@1.1.1.1",
]  # fmt: skip
# What lies inside networks and clouds.
INSIDE = [
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.1.1",
    "167772161", "0xa000001", "012.0.0.1", "10.1", "[::ffff:10.0.0.1]", "[::ffff:192.168.1.1]",
    "169.254.169.254", "169.254.0.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376",
    "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "168.63.129.16",
    "100.100.100.200", "100.64.0.1", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "[fe80::1]", "[fe80::1%25eth0]", "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]", "[ff02::1]",
    "[100::1]", "[2001:db8::1]", "[2001:2::1]", "[3fff::1]", "[5f00::1]", "[4000::1]",
]  # fmt: skip
# What is no way to the web at all.
NO_WEB = [
    "file:///etc/passwd", "gopher://127.0.0.1/", "ftp://example.org/", "unix:///var/run/x.sock",
    "ws://example.org/", "data:text/plain,x", "javascript:alert(1)", "//127.0.0.1/", "127.0.0.1",
    "http://", "http:///x", "http://user:pass@example.org/", "http://key@127.0.0.1/",
    "http://[::1", "http://1.2.3.4:99999/", "http://exa mple.org/", "",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.0.1", "172.32.0.1", "192.169.0.1", "169.253.0.1",
    "100.63.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]  # fmt: skip


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def got(url: str, **given: Any) -> httpx2.Response:
    async with guarded_client(seconds=20, **given) as client:
        return await client.get(url)


async def connections_made(host: str, *expected: type[Exception]) -> int:
    async with Listener() as listener:
        with pytest.raises(expected):
            await got(f"http://{host}:{listener.port}/v1")
        return listener.connections


@pytest.mark.parametrize("host", LOOPBACK + INSIDE)
def test_nothing_inside_is_connected_to(host: str) -> None:
    assert asyncio.run(connections_made(host, EgressRefused, httpx2.InvalidURL)) == 0


@pytest.mark.parametrize("host", ODD)
def test_odd_spellings_lead_nowhere(host: str) -> None:
    # A resolver may ask a network that does not answer.
    lost = (httpx2.ConnectError, httpx2.ConnectTimeout)
    expected = (EgressRefused, httpx2.InvalidURL, httpx2.UnsupportedProtocol, *lost)
    assert asyncio.run(connections_made(host, *expected)) == 0


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len({*LOOPBACK, *INSIDE, *NO_WEB, *ODD}) >= 100


@pytest.mark.parametrize("url", NO_WEB)
def test_only_the_web_is_called(url: str) -> None:
    with pytest.raises(EgressRefused):
        check_url(url)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_is_open(address: str) -> None:
    assert why_not_global(address) == ""


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "[fd00::1]", "localhost", "10.0.0.8"])
def test_literal_addresses_are_refused_when_they_are_entered(host: str) -> None:
    with pytest.raises(EgressRefused, match="PREFLOOP_EGRESS_ORIGINS"):
        check_url(f"http://{host}:8000/v1")


def test_a_name_is_checked_when_it_is_called() -> None:
    assert check_url(" https://API.example.org/v1/ ") == "https://api.example.org/v1"


def test_the_operator_allows_an_origin_and_nothing_beside_it(settings: Any) -> None:
    async def run() -> list[int]:
        async with Listener() as listener, Listener() as other:
            settings.EGRESS_ORIGINS = [f"http://127.0.0.1:{listener.port}/v1"]
            assert (await got(f"{listener.origin}/v1/x")).status_code == 200
            for url in (other.origin, f"https://127.0.0.1:{listener.port}",
                        f"http://localhost:{listener.port}"):  # fmt: skip
                with pytest.raises(EgressRefused):
                    await got(url)
            return [listener.connections, other.connections]

    assert asyncio.run(run()) == [1, 0]


def test_the_refusal_says_why_and_how_to_allow_it() -> None:
    with pytest.raises(EgressRefused) as refused:
        asyncio.run(got("http://127.0.0.1:8000/v1"))
    message = refused.value.message
    assert "http://127.0.0.1:8000 is at 127.0.0.1, this machine itself" in message
    assert "add http://127.0.0.1:8000 to PREFLOOP_EGRESS_ORIGINS" in message


@pytest.mark.parametrize("host", ["169.254.169.254", "168.63.129.16", "[fe80::1]"])
def test_nobody_is_advised_to_allow_where_clouds_have_their_keys(host: str) -> None:
    with pytest.raises(EgressRefused, match="metadata") as refused:
        check_url(f"http://{host}/latest")
    assert "PREFLOOP_EGRESS_ORIGINS" not in refused.value.message


def resolver(*answers: list[str]) -> Any:
    left = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        return left.pop(0)

    return resolve


def test_every_address_of_a_name_is_checked() -> None:
    async def run() -> int:
        async with Listener() as listener:
            transport = GuardedTransport(seconds=5, resolve=resolver(["1.1.1.1", "127.0.0.1"]))
            async with httpx2.AsyncClient(transport=transport) as client:
                with pytest.raises(EgressRefused):
                    await client.get(f"http://two-faced.test:{listener.port}/")
            return listener.connections

    assert asyncio.run(run()) == 0


def test_the_connection_goes_to_the_address_that_was_checked(settings: Any) -> None:
    """No other resolver is asked: the system's knows no name under .test."""

    async def run() -> tuple[int, list[str]]:
        async with Listener(closes=True) as listener:
            origin = f"http://rebinds.test:{listener.port}"
            settings.EGRESS_ORIGINS = [origin]
            transport = GuardedTransport(seconds=5, resolve=resolver(["127.0.0.1"], ["127.0.0.9"]))
            async with httpx2.AsyncClient(transport=transport) as client:
                await client.get(f"{origin}/a")
            return listener.connections, listener.heads

    connections, heads = asyncio.run(run())
    assert connections == 1
    assert "host: rebinds.test:" in heads[0].lower()


def test_a_name_that_changes_its_mind_is_checked_anew() -> None:
    """A new connection resolves and checks again; an old one stays where it was checked."""

    async def run() -> int:
        async with Listener() as listener:
            transport = GuardedTransport(seconds=5, resolve=resolver(["127.0.0.1"]))
            async with httpx2.AsyncClient(transport=transport) as client:
                with pytest.raises(EgressRefused):
                    await client.get(f"http://rebinds.test:{listener.port}/")
            return listener.connections

    assert asyncio.run(run()) == 0


def test_a_redirect_is_not_followed(settings: Any) -> None:
    async def run() -> tuple[int, int]:
        async with Listener() as inside:
            away = reply(b"", "307 Temporary Redirect", f"Location: {inside.origin}/\r\n")
            async with Listener(away) as listener:
                settings.EGRESS_ORIGINS = [listener.origin]
                return (await got(listener.origin)).status_code, inside.connections

    assert asyncio.run(run()) == (307, 0)


def test_proxies_of_the_environment_are_not_used(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> tuple[int, int]:
        async with Listener() as proxy, Listener() as listener:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxy.origin)
            settings.EGRESS_ORIGINS = [listener.origin]
            await got(listener.origin)
            return proxy.connections, listener.connections

    assert asyncio.run(run()) == (0, 1)


@pytest.mark.parametrize(
    "pieces",
    [
        (reply(b"x" * 5_000),),
        (CHUNKED, *[b"400\r\n" + b"x" * 1024 + b"\r\n"] * 5),
        (reply(b"\x1f\x8b", headers="Content-Encoding: gzip\r\n"),),
    ],
    ids=["long", "endless", "packed"],
)  # fmt: skip
def test_a_reply_is_bounded_in_size(settings: Any, pieces: tuple[bytes, ...]) -> None:
    async def run() -> None:
        async with Listener(*pieces) as listener:
            settings.EGRESS_ORIGINS = [listener.origin]
            await got(listener.origin, most_bytes=4_000)

    with pytest.raises(ReplyRefused):
        asyncio.run(run())


def test_a_reply_is_bounded_in_time_even_when_it_never_stalls(settings: Any) -> None:
    async def run() -> None:
        drops = [b"x"] * 1_000
        async with Listener(reply(b"")[:-4] + b"0" * 3, *drops, pause=0.05) as listener:
            settings.EGRESS_ORIGINS = [listener.origin]
            async with guarded_client(seconds=0.3) as client:
                await client.get(listener.origin)

    with pytest.raises(httpx2.ReadTimeout, match=r"0\.3 s"):
        asyncio.run(run())


def test_a_connection_serves_again_and_a_closed_one_does_not(settings: Any) -> None:
    async def calls(listener: Listener) -> int:
        settings.EGRESS_ORIGINS = [listener.origin]
        async with guarded_client(seconds=5) as client:
            for _ in range(3):
                assert (await client.post(listener.origin, content=b"{}")).status_code == 200
                # Turns of the loop, not time: in so many the client hears that a server closed.
                for _ in range(10):
                    await asyncio.sleep(0.005)
        return listener.connections

    async def run() -> list[int]:
        async with Listener() as keeps, Listener(closes=True) as closes:
            return [await calls(keeps), await calls(closes)]

    assert asyncio.run(run()) == [1, 3]


def test_a_cancelled_call_leaves_no_half_read_connection(settings: Any) -> None:
    async def run() -> int:
        async with Listener(reply(b"{}"), pause=0.2) as listener:
            settings.EGRESS_ORIGINS = [listener.origin]
            async with guarded_client(seconds=5) as client:
                call = asyncio.create_task(client.get(listener.origin))
                while not listener.heads:
                    await asyncio.sleep(0.01)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
                assert (await client.get(listener.origin)).status_code == 200
            return listener.connections

    # One where the reply had come before the call was cancelled.
    assert asyncio.run(run()) in {1, 2}


def test_a_broken_connection_and_no_connection_are_told_apart(settings: Any) -> None:
    async def run() -> None:
        async with Listener(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", closes=True
        ) as listener:
            settings.EGRESS_ORIGINS = [listener.origin]
            with pytest.raises(httpx2.RemoteProtocolError):
                await got(listener.origin)
        with pytest.raises(httpx2.ConnectError):
            await got(listener.origin)

    asyncio.run(run())


@pytest.mark.parametrize("port", [22, 25, 110, 6379 - 6000, 1023])
def test_ports_of_other_services_are_refused(port: int) -> None:
    with pytest.raises(EgressRefused, match=f"Port {port}"):
        check_url(f"https://example.org:{port}/v1")


def certificate(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "both.pem").write_bytes(private + pem)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "both.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


@pytest.mark.parametrize("name", ["endpoint.test", "other.test"])
def test_tls_is_held_against_the_name_although_the_address_is_dialled(
    name: str, settings: Any, tmp_path: Path
) -> None:
    server, client_context = certificate("endpoint.test", tmp_path)
    asked: list[str | None] = []
    server.sni_callback = lambda _socket, asked_for, _context: asked.append(asked_for)

    async def run() -> int:
        async with Listener(tls=server) as listener:
            origin = f"https://{name}:{listener.port}"
            settings.EGRESS_ORIGINS = [origin]
            transport = GuardedTransport(
                seconds=10, resolve=resolver(["127.0.0.1"]), context=client_context
            )
            async with httpx2.AsyncClient(transport=transport) as client:
                return (await client.get(origin)).status_code

    if name == "endpoint.test":
        assert asyncio.run(run()) == 200
    else:
        with pytest.raises(httpx2.ConnectError):
            asyncio.run(run())
    assert asked == [name]


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("HTTPS://Api.Example.org:443/v1", "https://api.example.org"),
        ("http://example.org:80", "http://example.org"),
        ("http://example.org.:8000/x?y", "http://example.org:8000"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
        ("https://bücher.example/v1", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_has_one_spelling(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_a_misspelled_origin_of_the_operator_stops_the_start(settings: Any) -> None:
    settings.EGRESS_ORIGINS = ["http://localhost:8000"]
    call_command("check")
    settings.EGRESS_ORIGINS = ["localhost:8000"]
    with pytest.raises(SystemCheckError, match="'localhost:8000' is no origin"):
        call_command("check")


def test_little_of_a_strangers_reply_is_shown() -> None:
    assert shown_reply(500, "") == "500"
    assert shown_reply(500, "a\nb\x1b[2J\u202e") == "500: a b [2J"
    assert len(shown_reply(200, "x" * 10_000)) == len("200: ") + SHOWN_CHARACTERS + 1
