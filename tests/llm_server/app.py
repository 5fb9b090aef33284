"""What is at each address, what fails, and the account that the server keeps of itself."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import blake2b
from typing import Any

from tests.llm_server.http import Asked, Sent, framed
from tests.llm_server.judging import mark_in, prompt_text
from tests.llm_server.replies import chat_reply
from tests.llm_server.script import Script, check_rates

KEPT = 200
PIECES = 8
CHAT = "/v1/chat/completions"


class App:
    """One script played to all connections. `answered` counts right answers by question, `billed`
    the calls that were not turned away by the mark in them: answered or not, they may cost."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.billed: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.calls = 0
        self.tokens = Counter({"prompt": 0, "completion": 0})
        self.seen: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.started = time.perf_counter()
        self._canned: bytes | None = None

    def __call__(self, asked: Asked) -> Sent:
        if asked.path == CHAT and self._canned is not None:
            self.calls += 1
            return Sent((self._canned,), wait=self.script.sleep_ms / 1000)
        if asked.path in ("/stats", "/seen", "/billed", "/script"):
            return self._account(asked)
        if self.script.key and asked.authorization != f"Bearer {self.script.key}":
            return _refused(401, "Incorrect API key provided.", "invalid_api_key")
        if asked.path == "/v1/models":
            listed = [{"id": name, "object": "model", "created": 1, "owned_by": "tests"}
                      for name in self.script.models]  # fmt: skip
            return _plain({"object": "list", "data": listed})
        if asked.path != CHAT or asked.method != "POST":
            return _refused(404, f"There is nothing at {asked.path}.", "not_found")
        return self._chat(asked)

    def _chat(self, asked: Asked) -> Sent:
        self.calls += 1
        try:
            body = json.loads(asked.body)
            question = _question(body)
        except (ValueError, KeyError, TypeError) as error:
            return _refused(400, f"The body cannot be read: {error}", "invalid_body")
        self.seen.append({"host": asked.host, "key": asked.authorization, "body": body})
        if refusal := self._unfit(body):
            return refusal
        self.asked[question] += 1
        fault = self.script.fault(question, self.asked[question])
        self.faults[fault] += bool(fault)
        if not fault.isdigit():
            self.billed[mark_in(prompt_text(body["messages"]))] += 1
        return self._faulty(fault) or self._answer(body, question, fault)

    def _unfit(self, body: Mapping[str, Any]) -> Sent | None:
        if body.get("model") not in self.script.models:
            return _refused(404, f"The model {body.get('model')!r} does not exist.", "no_model")
        given = {
            "logprobs": "logprobs" in body,
            "n": (body.get("n") or 1) > 1,
            "seed": body.get("seed") is not None,
            "json_schema": "response_format" in body,
            "choices": "guided_choice" in body or "structured_outputs" in body,
        }
        for name in self.script.refused:
            if given[name]:
                words = f"Unknown parameter: '{name}'."
                return _refused(self.script.refused_with, words, "unknown_parameter")
        return None

    def _faulty(self, fault: str) -> Sent | None:
        """Faults that leave no answer."""
        if fault == "timeout":
            return Sent(())
        if fault == "redirect":
            location = f"Location: {self.script.redirect_to}\r\n"
            return Sent((framed(302, {}, location),), wait=self.script.sleep_ms / 1000)
        if fault.isdigit():
            headers = self._retry_after() if fault in ("429", "503") else ""
            return _refused(int(fault), f"Scripted status {fault}.", f"scripted_{fault}", headers)
        return None

    def _answer(self, body: Mapping[str, Any], question: str, fault: str) -> Sent:
        reply = chat_reply(body, self.script, question, fault)
        data = framed(200, reply)
        wait = self.script.sleep_ms / 1000
        if fault == "dropped":
            return Sent((data[: len(data) // 2],), wait=wait, closes=True)
        if fault == "malformed":
            return Sent((framed(200, json.dumps(reply).encode()[: len(data) // 3]),), wait=wait)
        self.answered[question] += 1
        self.tokens["prompt"] += reply["usage"]["prompt_tokens"]
        self.tokens["completion"] += reply["usage"]["completion_tokens"]
        if self.script.canned:
            self._canned = data
        if fault == "slow":
            size = -(-len(data) // PIECES)
            pieces = tuple(data[at : at + size] for at in range(0, len(data), size))
            return Sent(pieces, wait=wait, pause=self.script.slow_ms / 1000 / PIECES)
        return Sent((data,), wait=wait)

    def _retry_after(self) -> str:
        form = self.script.retry_after_form
        if form == "both":
            form = ("seconds", "date")[self.calls % 2]
        if form == "none":
            return ""
        if form == "seconds":
            return f"Retry-After: {self.script.retry_after:g}\r\n"
        # A date has whole seconds: rounded up, so that it asks for no less.
        at = datetime.now(UTC) + timedelta(seconds=self.script.retry_after + 1)
        return f"Retry-After: {format_datetime(at, usegmt=True)}\r\n"

    def _account(self, asked: Asked) -> Sent:
        """/stats, /seen, /billed, and POST /script, which changes a running server's script."""
        if asked.path == "/seen":
            return _plain(list(self.seen))
        if asked.path == "/billed":
            return _plain(self.billed)
        if asked.path == "/script":
            for name, value in json.loads(asked.body).items():
                if not hasattr(self.script, name):
                    return _refused(400, f"A script has no {name}.", "unknown_parameter")
                setattr(self.script, name, check_rates(value) if name == "rates" else value)
            self._canned = None
        return _plain(self.stats())

    def stats(self) -> dict[str, Any]:
        """`asked_again` counts retries after faults, `answered_again` what is paid twice."""
        return {
            "calls": self.calls,
            "questions": len(self.asked),
            "asked_again": self.asked.total() - len(self.asked),
            "answered": self.answered.total(),
            "answered_again": self.answered.total() - len(self.answered),
            "faults": {name: count for name, count in self.faults.items() if name},
            "prompt_tokens": self.tokens["prompt"],
            "completion_tokens": self.tokens["completion"],
            "cpu_seconds": time.process_time(),
            "seconds": time.perf_counter() - self.started,
        }


def _question(body: Mapping[str, Any]) -> str:
    """What is asked, without how: calls that differ in their samples are told apart by the seed."""
    asked = json.dumps([body["messages"], body.get("seed"), body["model"]], sort_keys=True)
    return blake2b(asked.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _plain(body: Any) -> Sent:
    return Sent((framed(200, body),))


def _refused(status: int, message: str, code: str, headers: str = "") -> Sent:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Sent((framed(status, {"error": error}, headers),))
