"""What the tests of this folder ask, and with which key."""

from __future__ import annotations

from typing import Any

from annotation.judging.exchange import Request

KEY = "sk-canary-77e0b24a5588aa3f9d1c-WXYZ"


def request(text: str = "Say hello.", **given: Any) -> Request:
    fields: dict[str, Any] = {"stage": "verdict", "max_tokens": 32} | given
    return Request(messages=[{"role": "user", "content": text}], **fields)
