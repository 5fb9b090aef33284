"""Texts of others as data: one line of JSON that can neither end its block nor start a turn."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from annotation.judging.content import Message

# Control, format and line-separating characters, fillers, halves of pairs, private use, tags and
# variation selectors: a reader does not see them, a model does. Joiners of emoji go with them and
# stay readable as escapes.
_UNSEEN = re.compile(
    "[\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u115f-\u1160"
    "\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\uf8ff"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ufffe-\uffff\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
# A serving tokenizer may read these as the end of a turn, wherever they stand; and our own marks.
_SPECIAL = re.compile(
    r"<\||\|>|<\uff5c|\uff5c>|</?s>|<</?SYS>>|\[/?INST\]|\[/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS)\]"
    r"|</?(?:start|end)_of_turn>|</?(?:bos|eos|pad|unk|think|tool_call)>|<<<|>>>",
    re.IGNORECASE,
)


def as_data(value: Any) -> str:
    """JSON on one line, without characters that nobody sees and without special tokens.

    It is still JSON: `json.loads` gives the value back, whatever stood in it.
    """
    text = json.dumps(value, ensure_ascii=False)
    if not text.isascii() or "\x7f" in text:
        text = _UNSEEN.sub(lambda match: _escaped(match[0]), text)
    return _SPECIAL.sub(lambda match: _escaped(match[0][0]) + match[0][1:], text)


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) > 0x7F else f"\\u{ord(character):04x}"


def conversation(messages: Sequence[Message]) -> str:
    """All turns, with roles and tool calls."""
    return as_data([_turn(message) for message in messages])


def answer(messages: Sequence[Message]) -> str:
    """A plain answer is its text; one of several turns or with tool calls is a list of turns."""
    turns = [_turn(message) for message in messages]
    if len(turns) == 1 and set(turns[0]) == {"role", "content"}:
        return as_data(turns[0]["content"])
    return as_data(turns)


def _turn(message: Message) -> dict[str, Any]:
    turn = {"role": message.get("role", ""), "content": message.get("content") or ""}
    calls = [call.get("function", {}) for call in message.get("tool_calls") or ()]
    if calls:
        turn["tool_calls"] = [
            {"name": call.get("name", ""), "arguments": call.get("arguments", "")} for call in calls
        ]
    if message.get("name"):
        turn["name"] = message["name"]
    return turn
