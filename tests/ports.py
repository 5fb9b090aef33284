"""Ports for servers that must be told one, and are not asked which one they got."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress


def free_port() -> int:
    """Below the range of which systems deal ports to others, who could get it before the server.

    Not of `random`, which is seeded alike in all processes of a test run.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
