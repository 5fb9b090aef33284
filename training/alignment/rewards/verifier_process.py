"""A verifier in a process of its own, so that one that hangs can be ended without the run.

    python -m training.alignment.rewards.verifier_process NAME DESCRIPTOR

answers over the connection with that file descriptor: "ready" once the verifier is imported, then
for each (prompt, answer, facts) a number, or the sentence that says what failed.
"""

import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from training.alignment.data import Text
from training.alignment.rewards.protocol import RewardError
from training.alignment.supervision import die_with_parent

_MODULE = "training.alignment.rewards.verifier_process"
# For a verifier's imports, which may be large.
_START_LIMIT = 120.0  # seconds
_READY = "ready"


class VerifierProcess:
    """Calls the verifier of a name; a call beyond `time_limit` seconds costs the process its life.

    The next call starts another one. Raises RewardError for a verifier that cannot be imported or
    that fails.
    """

    def __init__(self, name: str, *, time_limit: float) -> None:
        self.name = name
        self.time_limit = time_limit
        self._start()

    def __call__(self, prompt: Text, answer: str, facts: Mapping[str, Any]) -> float | None:
        """The verdict; None when it took too long."""
        if self._process.poll() is not None:
            self._start()
        try:
            self._connection.send((prompt, answer, dict(facts)))
            reply = self._reply(self.time_limit)
        except OSError as error:
            raise self._ended() from error
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
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _start(self) -> None:
        ours, theirs = Pipe()
        path = [folder or str(Path.cwd()) for folder in sys.path]
        self._connection = ours
        self._process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, self.name, str(theirs.fileno())],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        weakref.finalize(self, self._process.kill)
        reply = self._reply(_START_LIMIT)
        if reply != _READY:
            self.close()
            said = reply or f"was not imported within {_START_LIMIT:.0f} seconds"
            raise RewardError(f"verifier '{self.name}' {said}")

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


def main() -> None:
    """Answer calls until the other side closes the connection."""
    from training.alignment.rewards.verifiers import load_verifier

    # A stop request goes to the whole group of processes; the run decides when this one ends.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
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


def _verdict(verify: Any, prompt: Text, answer: str, facts: Mapping[str, Any]) -> float | str:
    try:
        return float(verify(prompt, answer, facts))
    except RewardError as error:
        return f"says: {error}"
    except Exception as error:  # noqa: BLE001  # anybody's function: whatever it raises is reported
        return f"failed with {type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
