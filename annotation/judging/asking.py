"""Which calls an item takes, and what each of them says."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from annotation.judging.content import PAIRWISE, ItemContent
from annotation.judging.exchange import (
    REASON,
    Chain,
    Reply,
    Request,
    TokenLogprobs,
)
from annotation.judging.keys import call_key, nonce
from annotation.judging.labels import TOP_LOGPROBS
from annotation.judging.protocol import JudgeSpec
from annotation.judging.reading import Question, is_refusal, problem_of, questions
from annotation.judging.rendering import body_text, system_text

__all__ = [
    "Chain",
    "Reply",
    "Request",
    "TokenLogprobs",
    "call_key",
    "chains",
    "most_calls",
    "next_request",
    "nonce",
]

# A label and what some models put before it: white space, a line end.
LABEL_TOKENS = 4
# So much of an unreadable reply is shown to the model that is to mend it.
SHOWN_OF_A_BAD_REPLY = 2_000


def chains(spec: JudgeSpec, content: ItemContent) -> tuple[Chain, ...]:
    """Every order and sample, the samples of an order together."""
    return tuple(
        Chain(shown_order=order, sample=sample)
        for order in _orders(spec, content)
        for sample in range(spec.settings.samples)
    )


def _orders(spec: JudgeSpec, content: ItemContent) -> list[tuple[int, ...]]:
    """A pair in both orders; a list in a random order and its reverse; or each response alone.

    Random means by hash of the content and the seed: the same whenever the item is asked again.
    """
    size = len(content.responses)
    if size == 1 or spec.texts.one_by_one:
        return [(position,) for position in range(size)]
    order = list(range(size))
    if content.kind != PAIRWISE or not spec.settings.both_orders:
        random.Random(f"{content.content_hash()} {spec.settings.seed}").shuffle(order)
    orders = [tuple(order), tuple(reversed(order))]
    return orders if spec.settings.both_orders else orders[:1]


def most_calls(spec: JudgeSpec, content: ItemContent) -> int:
    """How many calls the item takes when every verdict needs its repair."""
    per_chain = 2 * len(questions(spec, content)) + _has_reason(spec)
    return per_chain * len(chains(spec, content))


def next_request(
    spec: JudgeSpec,
    content: ItemContent,
    chain: Chain,
    replies: Mapping[str, Reply],
    *,
    nonce: str,
) -> Request | None:
    """The call that follows these replies (by stage); None when the chain is at its end.

    A reply without the log-probabilities that were asked for raises MissingLogprobs.
    """
    if _has_reason(spec) and REASON not in replies:
        return _request(spec, chain, REASON, _reason_messages(spec, content, chain, nonce))
    for question in questions(spec, content):
        if question.verdict not in replies:
            messages = _verdict_messages(spec, content, chain, question, replies, nonce)
            return _asking(spec, chain, question, question.verdict, messages)
        if question.repair in replies:
            continue
        bad = replies[question.verdict]
        problem = problem_of(question, bad)
        if problem and not is_refusal(bad):
            messages = _verdict_messages(spec, content, chain, question, replies, nonce)
            messages += _repair_messages(question, bad, problem)
            return _asking(spec, chain, question, question.repair, messages)
    return None


def _has_reason(spec: JudgeSpec) -> bool:
    """Reasoning is a call of its own only before labels; else it stands first in the reply."""
    return spec.by_labels and spec.settings.reasoning


def _opening(spec: JudgeSpec, content: ItemContent, chain: Chain, nonce: str) -> list[str]:
    return [system_text(spec, nonce), body_text(spec, content, chain, nonce)]


def _reason_messages(
    spec: JudgeSpec, content: ItemContent, chain: Chain, nonce: str
) -> list[dict[str, Any]]:
    system, body = _opening(spec, content, chain, nonce)
    return _messages(
        system,
        f"{body}\n\nFirst think it through: weigh the strengths and weaknesses that count "
        "for what is judged. Do not give the verdict yet.",
    )


def _verdict_messages(
    spec: JudgeSpec,
    content: ItemContent,
    chain: Chain,
    question: Question,
    replies: Mapping[str, Reply],
    nonce: str,
) -> list[dict[str, Any]]:
    system, body = _opening(spec, content, chain, nonce)
    if not _has_reason(spec):
        return _messages(system, f"{body}\n\n{question.instruction}")
    return [
        *_reason_messages(spec, content, chain, nonce),
        {"role": "assistant", "content": replies[REASON].text},
        {"role": "user", "content": question.instruction},
    ]


def _repair_messages(question: Question, bad: Reply, problem: str) -> list[dict[str, Any]]:
    return [
        {"role": "assistant", "content": bad.text[:SHOWN_OF_A_BAD_REPLY] or "(no text)"},
        {
            "role": "user",
            "content": f"That could not be read: {problem}. Give your verdict once more.\n"
            f"{question.instruction}",
        },
    ]


def _messages(system: str, user: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _request(
    spec: JudgeSpec, chain: Chain, stage: str, messages: list[dict[str, Any]], **more: Any
) -> Request:
    settings = spec.settings
    return Request(
        stage=stage,
        messages=messages,
        max_tokens=more.pop("max_tokens", settings.max_tokens),
        temperature=settings.temperature,
        seed=(settings.seed + spec.seed_shift + chain.sample) % 2**31,
        **more,
    )


def _asking(
    spec: JudgeSpec,
    chain: Chain,
    question: Question,
    stage: str,
    messages: list[dict[str, Any]],
) -> Request:
    if question.by_labels:
        tokens = question.answers.tokens
        return _request(
            spec,
            chain,
            stage,
            messages,
            max_tokens=LABEL_TOKENS,
            choices=tokens,
            top_logprobs=TOP_LOGPROBS,
        )
    return _request(spec, chain, stage, messages, schema=question.schema)
