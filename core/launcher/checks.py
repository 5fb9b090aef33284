"""What could keep Prefloop from starting, each with one sentence that says how to mend it."""

from __future__ import annotations

import errno
import ipaddress
import os
import shutil
import socket
from pathlib import Path
from urllib.parse import urlsplit

import psutil

NEEDED_BYTES = 1_000_000_000


class CannotStart(Exception):
    """One sentence for the person at the terminal."""


def refuse_unwritable(data_dir: Path) -> None:
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise CannotStart(
            f"The data directory {data_dir} cannot be written. Give yourself the right to, or "
            "choose another with PREFLOOP_DATA_DIR=/some/folder."
        )


def refuse_full_disk(data_dir: Path) -> None:
    free = shutil.disk_usage(data_dir).free
    if free < NEEDED_BYTES:
        raise CannotStart(
            f"The disk of {data_dir} has {free / 1e9:.1f} GB left, and Prefloop needs 1 GB. Free "
            "some space, or choose another disk with PREFLOOP_DATA_DIR=/some/folder."
        )


def refuse_taken_port(host: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise CannotStart(f"PREFLOOP_PORT is {port}, and ports go from 1 to 65535.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(_why_no_port(host, port, error)) from error


def _why_no_port(host: str, port: int, error: OSError) -> str:
    another = "Choose another with: make run PREFLOOP_PORT=8001"
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is in use{_by_whom(port)}. Stop that program, or: {another}"
    if error.errno == errno.EACCES:
        return f"Port {port} may not be opened by this user. {another}"
    return f"Cannot listen at {host}:{port} ({error.strerror}). Check PREFLOOP_HOST. {another}"


def _by_whom(port: int) -> str:
    """The program that listens, when this user may know."""
    try:
        listening = [
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
        ]
        pid = next(filter(None, listening))
        return f" by {psutil.Process(pid).name()} (process {pid})"
    except (psutil.Error, StopIteration):
        return ""


def refuse_public_demo(public_url: str, sign_ins: Path) -> None:
    """The demo project's passwords are printed in the terminal: good at home, not in public."""
    if sign_ins.exists() and is_public(public_url):
        raise CannotStart(
            f"PUBLIC_URL is {public_url}, and this data directory has the demo project with its "
            "printed passwords. Unset PUBLIC_URL to look around, or serve the public from another "
            "PREFLOOP_DATA_DIR."
        )


def is_public(url: str) -> bool:
    host = urlsplit(url).hostname
    if not host or host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True
