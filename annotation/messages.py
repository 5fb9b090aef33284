"""What a prompt and a response may be: chat messages of plain text. Checked at every door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.errors import PrefloopError

Messages = list[dict[str, str]]

ROLES = ("system", "user", "assistant")
MAX_MESSAGES = 500
MAX_CHARACTERS = 500_000


def user_message(text: str) -> Messages:
    return [{"role": "user", "content": text}]


def assistant_message(text: str) -> Messages:
    return [{"role": "assistant", "content": text}]


def checked_prompt(value: Any, field: str = "prompt") -> Messages:
    """A text, or messages that end with the user's turn."""
    messages = user_message(value) if isinstance(value, str) else value
    messages = checked_messages(messages, field)
    if messages[-1]["role"] != "user":
        raise PrefloopError("the last message must be the user's", field=f"{field}[-1].role")
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
    content = checked_text(message.get("content"), f"{field}.content")
    return {"role": role, "content": content}


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


def text_for_comparison(messages: Sequence[dict[str, str]]) -> str:
    """What makes two prompts alike. A system message that all of them share would hide the rest."""
    spoken = [message["content"] for message in messages if message["role"] != "system"]
    return "\n".join(spoken or [message["content"] for message in messages])
