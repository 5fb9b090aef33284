"""A verifier in a process of its own, so that one that hangs can be ended without the run.

The process answers over a connection: "ready" once the verifier is imported, then for each (prompt,
answer, facts) a number, or the sentence that says what failed.
"""

import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

from training.alignment.data import Text
from training.alignment.rewards.protocol import RewardError
from training.alignment.supervision import die_with_parent

# Arguments: the verifier's name, the connection's file descriptor, and where to import from. As
# PYTHONPATH, these folders would reach what the verifier starts.
_START = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from training.alignment.rewards.verifier_process import main; main()"
)
# Leads the group of the verifier and of all that it starts, and ends it with the run, even by
# kill -9: then the pipe that it reads closes.
_LEADER = ("sh", "-c", "read _; kill -KILL 0")
# For a verifier's imports, which may be large.
_START_LIMIT = 120.0  # seconds
_READY = "ready"


class VerifierProcess:
    """Calls the verifier of a name; a call beyond `time_limit` seconds costs the process its life.

    What the verifier has started ends with it. The next call starts another process. Raises
    RewardError for a verifier that cannot be imported or that fails.
    """

    def __init__(self, name: str, *, time_limit: float) -> None:
        self.name = name
        self.time_limit = time_limit
        self._start()

    def __call__(self, prompt: Text, answer: str, facts: Mapping[str, Any]) -> float | None:
        """The verdict; None when it took too long."""
        try:
            if self._process.poll() is not None:
                self.close()
                self._start()
            reply = self._ask((prompt, answer, dict(facts)))
        except BaseException:
            # Its answer, when it comes, must not be taken for that to the next call.
            self.close()
            raise
        if reply is None:
            self.close()
        if isinstance(reply, str):
            raise RewardError(f"verifier '{self.name}' {reply}")
        return reply

    def close(self) -> None:
        """End the process and all that it started, whatever they do."""
        self._end()
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        path = [folder or str(Path.cwd()) for folder in sys.path]
        leader = subprocess.Popen(_LEADER, stdin=subprocess.PIPE, process_group=0)
        self._end = weakref.finalize(self, _end_group, leader)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, self.name, str(theirs.fileno()), *path],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            process_group=leader.pid,
        )
        theirs.close()
        reply = self._reply(_START_LIMIT)
        if reply != _READY:
            self.close()
            said = reply or f"was not imported within {_START_LIMIT:.0f} seconds"
            raise RewardError(f"verifier '{self.name}' {said}")

    def _ask(self, call: tuple[Text, str, dict[str, Any]]) -> float | str | None:
        try:
            self._connection.send(call)
        except OSError as error:
            raise self._ended() from error
        return self._reply(self.time_limit)

    def _reply(self, patience: float) -> float | str | None:
        try:
            if not self._connection.poll(patience):
                return None
            reply: float | str = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        return reply

    def _ended(self) -> RewardError:
        status = self._process.wait()
        return RewardError(f"verifier '{self.name}' ended its process with exit status {status}")


def _end_group(leader: subprocess.Popen[bytes]) -> None:
    with leader:  # until it is waited for, no other group has its number
        os.killpg(leader.pid, signal.SIGKILL)


def main() -> None:
    """Answer calls until the other side closes the connection."""
    from training.alignment.rewards.verifiers import load_verifier

    # A stop request may go to every process; the run decides when this one ends. What it starts
    # has to hear them, and would inherit signals that are ignored.
    _handle_stops(_nothing)
    os.register_at_fork(after_in_child=lambda: _handle_stops(signal.SIG_DFL))
    die_with_parent()
    name, connection = sys.argv[1], Connection(int(sys.argv[2]))
    try:
        verify = load_verifier(name)
    except RewardError as error:
        connection.send(f"cannot be used: {error}")
        return
    connection.send(_READY)
    with suppress(EOFError, OSError):
        while True:
            connection.send(_verdict(verify, *connection.recv()))


def _handle_stops(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    pass


def _verdict(verify: Any, prompt: Text, answer: str, facts: Mapping[str, Any]) -> float | str:
    try:
        return float(verify(prompt, answer, facts))
    except RewardError as error:
        return f"says: {error}"
    except Exception as error:  # noqa: BLE001  # anybody's function: whatever it raises is reported
        return f"failed with {type(error).__name__}: {error}"
