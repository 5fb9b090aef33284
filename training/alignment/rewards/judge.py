"""Rewards by a judge, asked over the socket that the supervising worker opened for this run.

One connection a call, one JSON object a line, UTF-8:

    → {"token": "…", "judge": "…", "answers": [{"prompt": text or messages, "answer": "…"}, …]}
    ← {"pending": 12}                         now and then while the worker is at work
    ← {"rewards": [0.7, …]}                   one number for each answer, or
    ← {"error": "sentence for people"}        nothing was judged, or not everything

The token opens the socket for this run alone. Nothing else can be asked over it: the worker decides
which judge it is, under which budget, and keeps every call.
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.alignment.rewards.protocol import RewardError, Rewards
from training.alignment.rollouts.protocol import Rollout

SOCKET_VARIABLE = "PREFLOOP_JUDGE_SOCKET"
TOKEN_VARIABLE = "PREFLOOP_JUDGE_TOKEN"  # noqa: S105  # its name, not the token
LONGEST_LINE = 64 * 2**20


class JudgeSource:
    """Asks the worker's judge. `patience` is the longest silence in seconds that is waited out."""

    def __init__(
        self,
        judge: str,
        *,
        name: str = "judge",
        path: str | None = None,
        token: str | None = None,
        patience: float = 60.0,
    ) -> None:
        self.name = name
        self.judge = judge
        self.patience = patience
        self._path = path or os.environ.get(SOCKET_VARIABLE, "")
        self._token = token or os.environ.get(TOKEN_VARIABLE, "")
        if not (self._path and self._token):
            raise RewardError(
                "a judge is asked through the worker that supervises a run, and this process has "
                "none; launch the run from the application, or leave the judge out"
            )

    def __call__(self, rollouts: Sequence[Rollout]) -> Rewards:
        answers = [{"prompt": item.prompt_text, "answer": item.text} for item in rollouts]
        reply = self._ask({"token": self._token, "judge": self.judge, "answers": answers})
        if "error" in reply:
            raise RewardError(str(reply["error"]))
        try:
            rewards = np.asarray(reply["rewards"], dtype=np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise RewardError("the worker's reply holds no rewards") from error
        return rewards

    def _ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(self.patience)
                connection.connect(self._path)
                connection.sendall(json.dumps(question).encode() + b"\n")
                with connection.makefile("rb") as replies:
                    return self._final(replies)
        except OSError as error:
            raise RewardError(f"the worker does not answer on its socket: {error}") from error

    def _final(self, replies: Any) -> Mapping[str, Any]:
        while line := replies.readline(LONGEST_LINE):
            try:
                reply = json.loads(line)
            except ValueError as error:
                raise RewardError("the worker's reply is no JSON") from error
            if not isinstance(reply, dict):
                raise RewardError("the worker's reply is no JSON object")
            if "pending" not in reply:
                return reply
        raise RewardError("the worker closed its socket without an answer")
