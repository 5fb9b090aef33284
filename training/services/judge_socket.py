"""The socket over which a supervised run asks a judge; the worker's side.

The protocol is that of training.alignment.rewards.judge. The judging itself is whatever callable
the socket is opened with.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import secrets
import shutil
import socketserver
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connections

from core.errors import PrefloopError
from training.alignment.rewards.judge import LONGEST_LINE, SOCKET_VARIABLE, TOKEN_VARIABLE

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class AnswerToJudge:
    """One sampled answer and what it answers: a text, or a list of messages."""

    prompt: str | list[dict[str, Any]]
    answer: str


# Judges answers by the judge of this name: one reward each, in order. Runs in a thread of its own.
# A PrefloopError becomes the run's error message.
Judging = Callable[[str, Sequence[AnswerToJudge]], Sequence[float]]


@dataclass(frozen=True)
class OpenSocket:
    path: str
    token: str

    @property
    def environment(self) -> dict[str, str]:
        """What the child must be started with to find the socket."""
        return {SOCKET_VARIABLE: self.path, TOKEN_VARIABLE: self.token}


@contextlib.contextmanager
def open_judge_socket(judging: Judging) -> Iterator[OpenSocket]:
    """A socket that answers through `judging` until the block is left; its token dies with it."""
    # A short path of its own, for a socket's path may have about a hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="judge-"))
    opened = OpenSocket(str(folder / "socket"), secrets.token_urlsafe(32))
    try:
        with _Server(opened, judging) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
            thread.start()
            try:
                yield opened
            finally:
                server.shutdown()
                thread.join()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    # A judge that is still being asked must not hold up the end of a run.
    block_on_close = False

    def __init__(self, opened: OpenSocket, judging: Judging) -> None:
        self.token = opened.token
        self.judging = judging
        super().__init__(opened.path, _Handler)


class _Handler(socketserver.StreamRequestHandler):
    server: _Server
    timeout = WAIT_SECONDS

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self._answer(self._reply())

    def _reply(self) -> dict[str, Any]:
        try:
            question = json.loads(self.rfile.readline(LONGEST_LINE))
            token, judge = str(question["token"]), str(question["judge"])
            answers = [_parse(entry) for entry in question["answers"]]
        except (ValueError, KeyError, TypeError):
            return {"error": "The question is not of the judge socket's protocol."}
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            return {"error": "The token is not this run's."}
        return self._judged(judge, answers)

    def _judged(self, judge: str, answers: list[AnswerToJudge]) -> dict[str, Any]:
        outcome: dict[str, Any] = {}

        def work() -> None:
            try:
                rewards = [float(value) for value in self.server.judging(judge, answers)]
                if len(rewards) != len(answers):
                    raise PrefloopError("The judge did not judge every answer.")
                outcome["rewards"] = rewards
            except PrefloopError as error:
                outcome["error"] = str(error)
            # The boundary of the thread: the run gets a sentence, the log the traceback.
            except Exception:
                logger.exception("Judging for a training run failed.")
                outcome["error"] = "The judge failed; the worker's log says why."
            finally:
                connections.close_all()

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        worker.join(BEAT_SECONDS)
        while worker.is_alive():
            self._answer({"pending": len(answers)})
            worker.join(BEAT_SECONDS)
        return outcome

    def _answer(self, reply: dict[str, Any]) -> None:
        self.wfile.write(json.dumps(reply).encode() + b"\n")
        self.wfile.flush()


def _parse(entry: Any) -> AnswerToJudge:
    prompt, answer = entry["prompt"], entry["answer"]
    if not isinstance(answer, str) or not isinstance(prompt, str | list):
        raise TypeError("an answer is a text, a prompt a text or messages")
    return AnswerToJudge(prompt, answer)
