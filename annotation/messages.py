"""What a prompt and a response may be: chat messages of plain text. Checked at every door."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from core.errors import PrefloopError

# {"role", "content"}; an assistant's may have "tool_calls", a tool's "name" and "tool_call_id".
Messages = list[dict[str, Any]]

ROLES = ("system", "user", "assistant", "tool")
MAX_MESSAGES = 500
MAX_CHARACTERS = 500_000
MAX_TOOL_CALLS = 50
MAX_NAME = 200


def user_message(text: str) -> Messages:
    return [{"role": "user", "content": text}]


def assistant_message(text: str) -> Messages:
    return [{"role": "assistant", "content": text}]


def checked_prompt(value: Any, field: str = "prompt") -> Messages:
    """A text, or messages that end with the user's turn or with what a tool gave back."""
    messages = user_message(value) if isinstance(value, str) else value
    messages = checked_messages(messages, field)
    if messages[-1]["role"] not in ("user", "tool"):
        raise PrefloopError(
            "the last message must be the user's, or a tool's result", field=f"{field}[-1].role"
        )
    if not any(message["content"].strip() for message in messages if message["role"] == "user"):
        raise PrefloopError("the user's messages are empty", field=field)
    return messages


def checked_response(value: Any, field: str = "response") -> Messages:
    """A text, or messages that begin and end with the assistant. Empty text is an answer too."""
    messages = assistant_message(value) if isinstance(value, str) else value
    messages = checked_messages(messages, field)
    for place in (0, -1):
        if messages[place]["role"] != "assistant":
            where = f"{field}[{place}].role"
            raise PrefloopError(
                "a response begins and ends with an assistant's message", field=where
            )
    return messages


def checked_messages(value: Any, field: str) -> Messages:
    if not isinstance(value, list) or not value:
        raise PrefloopError("must be a text or a list of messages", field=field)
    if len(value) > MAX_MESSAGES:
        raise PrefloopError(f"has more than {MAX_MESSAGES} messages", field=field)
    return [_checked_message(message, f"{field}[{i}]") for i, message in enumerate(value)]


def _checked_message(message: Any, field: str) -> dict[str, str]:
    if not isinstance(message, dict):
        raise PrefloopError('must be {"role": …, "content": …}', field=field)
    role = message.get("role")
    if role not in ROLES:
        raise PrefloopError(f"must be one of {', '.join(ROLES)}", field=f"{field}.role")
    calls = message.get("tool_calls")
    content = message.get("content")
    # The usual way to say that an assistant only called tools.
    content = "" if content is None and role == "assistant" and calls else content
    checked = {"role": role, "content": checked_text(content, f"{field}.content")}
    if role == "assistant" and calls:
        checked["tool_calls"] = _checked_calls(calls, f"{field}.tool_calls")
    for name in ("name", "tool_call_id"):
        if role == "tool" and message.get(name):
            checked[name] = checked_text(message[name], f"{field}.{name}", longest=MAX_NAME)
    return checked


def _checked_calls(calls: Any, field: str) -> list[dict[str, Any]]:
    """{"id", "type": "function", "function": {"name", "arguments"}}, arguments as JSON text."""
    if not isinstance(calls, list) or len(calls) > MAX_TOOL_CALLS:
        raise PrefloopError(f"must be a list of at most {MAX_TOOL_CALLS} calls", field=field)
    return [_checked_call(call, f"{field}[{i}]") for i, call in enumerate(calls)]


def _checked_call(call: Any, field: str) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not function.get("name"):
        raise PrefloopError('must be {"function": {"name": …, "arguments": …}}', field=field)
    name = checked_text(function["name"], f"{field}.function.name", longest=MAX_NAME)
    given = function.get("arguments", "{}")
    arguments = json.dumps(given, ensure_ascii=False) if isinstance(given, dict) else given
    checked_text(arguments, f"{field}.function.arguments")
    checked: dict[str, Any] = {
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    if call.get("id"):
        checked["id"] = checked_text(call["id"], f"{field}.id", longest=MAX_NAME)
    return checked


def as_text(message: dict[str, Any]) -> str:
    """Everything a message says, tool calls too, for where only text fits."""
    functions = [call["function"] for call in message.get("tool_calls", ())]
    calls = [f"{function['name']}({function['arguments']})" for function in functions]
    return "\n".join([message["content"], *calls] if calls else [message["content"]])


def checked_text(value: Any, field: str, *, longest: int = MAX_CHARACTERS) -> str:
    if not isinstance(value, str):
        raise PrefloopError("must be text", field=field)
    if len(value) > longest:
        raise PrefloopError(f"is longer than {longest:,} characters", field=field)
    if "\0" in value:
        raise PrefloopError("has a NUL character, which no database can keep", field=field)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise PrefloopError(
            "has half of a surrogate pair, which is no character", field=field
        ) from None
    return value


def storable(value: str, field: str) -> str:
    """For texts of forms and calls, where the message stands alone."""
    try:
        return checked_text(value, field)
    except PrefloopError as error:
        raise PrefloopError(f"The {field} {error.message}.", field=field) from None


def text_for_comparison(messages: Sequence[dict[str, Any]]) -> str:
    """What makes two prompts alike. A system message that all of them share would hide the rest."""
    spoken = [as_text(message) for message in messages if message["role"] != "system"]
    return "\n".join(spoken or [as_text(message) for message in messages])
