"""Tool calls and their results are part of conversations."""

from __future__ import annotations

import json
from typing import Any

import pytest

from annotation.messages import as_text, checked_prompt, checked_response, text_for_comparison
from core.errors import PrefloopError

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def calling(**function: Any) -> list[dict[str, Any]]:
    calls = [{"function": {"name": "weather", **function}}]
    return [{"role": "assistant", "content": "", "tool_calls": calls}]


def test_a_conversation_with_tools_is_kept_whole() -> None:
    messages = [
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": '{"rain": true}', "name": "weather", "tool_call_id": "c1"},
    ]
    assert checked_prompt(messages) == messages
    assert checked_response([*messages[1:], {"role": "assistant", "content": "Yes."}])


def test_arguments_become_text_and_silence_becomes_empty_text() -> None:
    given = calling(arguments={"city": "Köln"})
    given[0]["content"] = None
    (message,) = checked_response(given)
    assert message["content"] == ""
    function = message["tool_calls"][0]["function"]
    assert json.loads(function["arguments"]) == {"city": "Köln"}
    assert as_text(message) == '\nweather({"city": "Köln"})'


def test_only_the_right_speakers_have_calls_and_names() -> None:
    messages = [{"role": "user", "content": "Hi", "tool_calls": [CALL], "name": "x"}]
    assert checked_prompt(messages) == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("calls", "where"),
    [
        ("weather", "tool_calls"),
        ([{}], "tool_calls[0]"),
        ([{"function": {"name": ""}}], "tool_calls[0]"),
        ([{"function": {"name": 3}}], "function.name"),
        ([{"function": {"name": "x" * 201}}], "function.name"),
        ([{"function": {"name": "x", "arguments": 3}}], "function.arguments"),
        ([{"function": {"name": "x", "arguments": "\0"}}], "function.arguments"),
        ([{"id": 5, "function": {"name": "x"}}], "tool_calls[0].id"),
        ([CALL] * 51, "tool_calls"),
    ],
)
def test_what_is_no_call_is_refused_by_its_place(calls: Any, where: str) -> None:
    with pytest.raises(PrefloopError) as raised:
        checked_response([{"role": "assistant", "content": "", "tool_calls": calls}])
    assert raised.value.fields["field"].endswith(where)


def test_prompts_that_call_different_tools_are_different() -> None:
    first, second = calling(arguments="{}"), calling(arguments='{"a": 1}')
    assert text_for_comparison(first) != text_for_comparison(second)
