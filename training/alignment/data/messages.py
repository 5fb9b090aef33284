"""Chat messages as chat templates read them, from the forms in which they are written down."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from training.alignment.data.rows import DataError, FieldError

Messages = list[dict[str, Any]]
ROLES = ("system", "developer", "user", "assistant", "tool")
_SPEAKERS = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
}
# What of a message chat templates are given; of the form with "from", only its text.
_READ = frozenset({"role", "content", "from", "value", "name", "tool_call_id", "tool_calls"})
_READ_OF_SHAREGPT = frozenset({"role", "from", "value"})
_TRANSCRIPT = re.compile(r"\n\n(Human|Assistant):")


def messages(value: Any, field: str) -> Messages:
    """Messages of {"role", "content"} or {"from", "value"}; raises FieldError naming the first
    that is neither."""
    value = _listed(value)
    if not _is_list(value) or not value:
        raise FieldError(field, "must be a text or a list of role and content messages")
    return [_message(item, f"{field}[{place}]") for place, item in enumerate(value)]


def _listed(value: Any) -> Any:
    """Objects as a list, also where Arrow keeps them as columns (datasets' Sequence)."""
    if isinstance(value, Mapping) and value and all(_is_list(part) for part in value.values()):
        return [
            dict(zip(value, parts, strict=False)) for parts in zip(*value.values(), strict=False)
        ]
    return value


def with_system(talk: Messages, text: Any) -> Messages:
    """The talk after a message of the system, where there is one; it may hold the same already."""
    if text in (None, ""):
        return talk
    if not isinstance(text, str):
        raise FieldError("system", "must be a text")
    opening = talk[0] if talk[0]["role"] in ("system", "developer") else None
    if opening is None:
        return [{"role": "system", "content": checked(text, "system")}, *talk]
    if opening["content"].strip() != text.strip():
        raise FieldError("system", "differs from the talk's own first message; leave one of them")
    return talk


def tools(value: Any) -> list[dict[str, Any]]:
    """Tools as chat templates are told of them: a list of objects, or the JSON of one."""
    if isinstance(value, str):
        with suppress(ValueError):
            value = json.loads(value or "[]")
    value = _listed(value)
    if not _is_list(value):
        raise FieldError("tools", "must be a list of tools, or JSON of one")
    for place, tool in enumerate(value):
        if not tool_name(tool):
            raise FieldError(
                f"tools[{place}]", "must have a name, or a 'function' that has one, as a text"
            )
        _check_written(tool, f"tools[{place}]")
    return list(value)


def tool_name(tool: Any) -> str:
    """The name of a tool; empty where it has none."""
    told: Any = tool.get("function", tool) if isinstance(tool, Mapping) else None
    name = told.get("name") if isinstance(told, Mapping) else None
    return name if isinstance(name, str) else ""


def unread_fields(value: Any) -> set[str]:
    """Names of what the assistant's messages hold, wherever they lie in `value`, and no template
    is given. A weight of 1 is what every turn has."""
    value = _listed(value)
    if _is_list(value):
        return set[str]().union(*map(unread_fields, value))
    if not isinstance(value, Mapping):
        return set()
    speaker = value.get("role") or value.get("from")
    if speaker is None:
        return set[str]().union(*map(unread_fields, value.values()))
    if not isinstance(speaker, str) or _SPEAKERS.get(speaker) != "assistant":
        return set()
    read = _READ_OF_SHAREGPT if value.get("role") is None else _READ
    held = {name for name, part in value.items() if part not in (None, "", [], {})}
    return held - read - ({"weight"} if value.get("weight") == 1 else set())


def checked(text: str, field: str) -> str:
    """The text, which no tokenizer and no file takes with half of a character in it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FieldError(field, "holds half of a surrogate pair") from error
    return text


def is_transcript(value: Any) -> bool:
    """Whether a text is a talk of "\\n\\nHuman: " and "\\n\\nAssistant: ", as in Anthropic's HH."""
    return isinstance(value, str) and re.match(r"\s*Human:", value) is not None


def transcript(value: str, field: str) -> Messages:
    """The messages of such a talk, without the spaces around them."""
    _, *parts = _TRANSCRIPT.split("\n\n" + value.lstrip())
    roles = {"Human": "user", "Assistant": "assistant"}
    found = [
        {"role": roles[speaker], "content": text.strip()}
        for speaker, text in zip(parts[::2], parts[1::2], strict=True)
    ]
    if not found:
        raise FieldError(field, 'must be a talk that begins with "Human:"')
    return found


def divided(talk: Messages, field: str) -> tuple[Messages, Messages]:
    """What comes before the assistant's last turn, and that turn."""
    if talk[-1]["role"] != "assistant":
        raise FieldError(field, "must end with a message of the assistant")
    if len(talk) < 2:
        raise FieldError(field, "must hold a prompt before the answer")
    return talk[:-1], talk[-1:]


def divided_pair(chosen: Messages, rejected: Messages) -> tuple[Messages, Messages, Messages]:
    """The turns that both talks share, and what is left of each.

    Each keeps a turn of the assistant of its own, also where both talks are the same.
    """
    shared = 0
    most = min(len(chosen), len(rejected)) - 1
    while shared < most and chosen[shared] == rejected[shared]:
        shared += 1
    sides = chosen[shared:], rejected[shared:]
    if shared == 0:
        raise DataError(
            "chosen and rejected share no turn, so that the prompt is unclear: add the field "
            "'prompt'"
        )
    if any(side[0]["role"] != "assistant" for side in sides):
        raise DataError(
            f"chosen and rejected part at turn {shared + 1}, which is not the assistant's in both"
        )
    return chosen[:shared], *sides


def _message(item: Any, field: str) -> dict[str, Any]:
    """What chat templates read. The arguments of tool calls are objects there, texts on file."""
    if not isinstance(item, Mapping):
        raise FieldError(field, "must be a message with role and content")
    if item.get("role") is None and item.get("from") is not None:
        item = {"role": _speaker(item["from"], field), "content": item.get("value")}
    role, calls = item.get("role"), item.get("tool_calls")
    content = "" if item.get("content") is None and calls else _content(item, field)
    if not isinstance(role, str) or not isinstance(content, str):
        raise FieldError(field, "must be a message with role and content")
    message: dict[str, Any] = {"role": checked(role, field), "content": checked(content, field)}
    # Many chat templates write any role that they are given, which no model has seen.
    if role not in ROLES:
        raise FieldError(field, f"has the unknown role {role!r}; known are {', '.join(ROLES)}")
    extra = {name: item[name] for name in ("name", "tool_call_id") if item.get(name)}
    if calls:
        extra["tool_calls"] = _calls(calls, f"{field}.tool_calls")
    if extra:
        _check_written(extra, field)
    return {**message, **extra}


def _check_written(extra: Mapping[str, Any], field: str) -> None:
    """Refuse what no file of JSON holds, such as a Parquet file's bytes and dates."""
    try:
        checked(json.dumps(extra, ensure_ascii=False), field)
    except (TypeError, RecursionError) as error:
        raise FieldError(field, f"holds what JSON cannot say ({error})") from error


def _speaker(name: Any, field: str) -> str:
    if not isinstance(name, str) or name not in _SPEAKERS:
        raise FieldError(field, f"is of the unknown speaker {name!r}; known are human, gpt, system")
    return _SPEAKERS[name]


def _content(item: Mapping[str, Any], field: str) -> Any:
    """A text, or OpenAI's list of parts, of which only texts can be trained on."""
    content: Any = item.get("content")
    if not _is_list(content):
        return content
    for part in content:
        if not isinstance(part, Mapping) or part.get("type") != "text":
            raise FieldError(field, "holds something other than text")
        if not isinstance(part.get("text"), str):
            raise FieldError(field, "holds a part of type text that has no text")
    return "".join(part["text"] for part in content)


def _calls(calls: Any, field: str) -> list[dict[str, Any]]:
    if not _is_list(calls):
        raise FieldError(field, "must be a list of calls")
    return [_call(call, f"{field}[{place}]") for place, call in enumerate(calls)]


def _call(call: Any, field: str) -> dict[str, Any]:
    function: Any = call.get("function") if isinstance(call, Mapping) else None
    is_whole = isinstance(function, Mapping) and function.get("arguments") is not None
    if not is_whole or not isinstance(function.get("name"), str):
        raise FieldError(field, "must have a 'function' with a name and arguments")
    return {**call, "function": _function(function)}


def _function(function: Mapping[str, Any]) -> dict[str, Any]:
    arguments = function["arguments"]
    if isinstance(arguments, str):
        with suppress(ValueError):
            arguments = json.loads(arguments)
    return {"name": function["name"], "arguments": arguments}


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
