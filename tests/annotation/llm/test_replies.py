"""Reading what endpoints send: whatever it is, it ends as a reply or as an error with a name."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.judging.exchange import Reply
from annotation.llm.replies import (
    FILTERED,
    Malformed,
    MissingLogprobs,
    Usage,
    name_of,
    parsed,
    reply_of,
    usage_of,
)
from tests.annotation.llm.asking import request


def body(content: Any = "B", logprobs: Any = None, **choice: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content} | choice.pop("message", {})
    return {
        "choices": [{"message": message, "finish_reason": "stop", "logprobs": logprobs} | choice]
    }


def entry(
    token: str = "B",  # noqa: S107
    logprob: Any = -0.1,
    top: Any = None,
) -> dict[str, Any]:
    listed = [{"token": "B", "logprob": -0.1}, {"token": "A", "logprob": -2.5}]
    return {"token": token, "logprob": logprob, "top_logprobs": listed if top is None else top}


def test_a_reply_is_its_text_and_why_it_ended() -> None:
    assert reply_of(body("A"), wants_logprobs=False) == Reply("A", "stop", None, "")


def test_log_probabilities_are_read_token_by_token() -> None:
    reply = reply_of(body(logprobs={"content": [entry(), entry("!")]}), wants_logprobs=True)
    assert [token.token for token in reply.tokens or ()] == ["B", "!"]
    assert reply.tokens is not None
    assert reply.tokens[0].top == {"B": -0.1, "A": -2.5}


def test_tokens_that_are_spelled_alike_add_up() -> None:
    same = [{"token": "A", "logprob": math.log(0.25)}, {"token": "A", "logprob": math.log(0.5)}]
    reply = reply_of(body(logprobs={"content": [entry(top=same)]}), wants_logprobs=True)
    assert reply.tokens is not None
    assert math.exp(reply.tokens[0].top["A"]) == pytest.approx(0.75)


@pytest.mark.parametrize(
    "logprobs",
    [
        None, {}, {"content": None}, {"content": []}, {"content": [None]}, "text",
        {"content": [entry(top=[])]}, {"content": [entry(logprob=None)]},
        {"content": [entry(logprob=float("nan"))]}, {"content": [entry(logprob=0.7)]},
        {"content": [entry(), {"token": "A", "logprob": -1}]},
        {"content": [entry(top=[{"token": "A"}])]},
    ],
)  # fmt: skip
def test_log_probabilities_that_are_not_all_there_are_an_error(logprobs: Any) -> None:
    with pytest.raises(MissingLogprobs):
        reply_of(body(logprobs=logprobs), wants_logprobs=True)


def test_a_refusal_needs_no_log_probabilities() -> None:
    refused = body(None, message={"refusal": "I cannot."})
    assert reply_of(refused, wants_logprobs=True) == Reply("", "stop", None, "I cannot.")


def test_a_content_filter_is_a_refusal() -> None:
    filtered = reply_of(body("", finish_reason="content_filter"), wants_logprobs=True)
    assert (filtered.refusal, filtered.finish_reason) == (FILTERED, "content_filter")


@pytest.mark.parametrize("content", [None, "", [], [{"type": "image"}], 7, {}])
def test_no_content_is_an_empty_reply(content: Any) -> None:
    assert reply_of(body(content), wants_logprobs=False).text == ""


def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    assert reply_of(body(parts), wants_logprobs=False).text == "AB"


def test_what_a_database_cannot_hold_is_replaced() -> None:
    assert reply_of(body("a\0b"), wants_logprobs=False).text == "a\ufffdb"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"<html>", b"{", b"null", b"[]", b"7", b'"x"', b"{}", b'{"choices": null}',
        b'{"choices": []}', b'{"choices": [1]}', b'{"choices": [{}]}', b"\xff\xfe",
        b'{"choices": [{"message": "A"}]}', b"[" * 200_000, b'{"error": {"message": "x"}}',
    ],
)  # fmt: skip
def test_what_holds_no_answer_is_malformed(content: bytes) -> None:
    with pytest.raises(Malformed):
        parsed(content)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "message", "content", "logprobs", "top_logprobs", "token"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_ends_as_a_reply_or_a_named_error(value: Any) -> None:
    try:
        read = parsed(json.dumps(value).encode())
        reply = reply_of(read, wants_logprobs=True)
        usage = usage_of(read, request(), Reply("x"))
    except (Malformed, MissingLogprobs):
        return
    assert isinstance(reply.text, str)
    assert reply.tokens
    assert min(usage) >= 0


def test_usage_is_the_endpoints_count() -> None:
    usage = {
        "prompt_tokens": 12,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 8},
    }
    assert usage_of(body() | {"usage": usage}, request(), Reply("B")) == Usage(12, 3, 8)


@pytest.mark.parametrize("usage", [None, {}, "x", {"prompt_tokens": -1}, {"prompt_tokens": True}])
def test_without_a_count_the_most_is_assumed(usage: Any) -> None:
    found = usage_of(body() | {"usage": usage}, request("Say hello."), Reply("twelve chars"))
    assert found.prompt >= len("Say hello.")
    assert found.completion == 12


def test_names_are_texts_of_a_bounded_length() -> None:
    assert name_of({"model": "m" * 500}, "model") == "m" * 150
    assert name_of({"model": {"a": 1}}, "model") == name_of({}, "model") == ""
