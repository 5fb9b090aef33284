"""Items, judges and replies for the tests of judging."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from annotation.judging import (
    Chain,
    Combined,
    Criterion,
    ItemContent,
    JudgeSpec,
    Reply,
    Request,
    Template,
    TokenLogprobs,
    call_key,
    chains,
    combine,
    default_template,
    get_protocol,
    next_request,
    nonce,
    read_chain,
)

OVERALL = (Criterion("overall", "Overall", "Which one you would rather have."),)
CRITERIA = (Criterion("helpful", "Helpful"), Criterion("honest", "Honest", "Says no untruth."))
SECRET = b"a secret of the instance"

Model = Callable[[Request, Chain], Reply]


def content(
    kind: str = "pairwise",
    texts: tuple[str, ...] = ("Paris.", "London."),
    criteria: tuple[Criterion, ...] = OVERALL,
    **more: Any,
) -> ItemContent:
    prompt = ({"role": "user", "content": "What is the capital of France?"},)
    responses = tuple(({"role": "assistant", "content": text},) for text in texts)
    return ItemContent(kind, prompt, responses, criteria, **more)


def listed(*texts: str, **more: Any) -> ItemContent:
    return content("listwise", texts, **more)


def single(text: str = "Paris.", **more: Any) -> ItemContent:
    return content("thumbs", (text,), **more)


def spec(protocol: str, kind: str = "pairwise", **settings: Any) -> JudgeSpec:
    found = get_protocol(protocol)
    return JudgeSpec(
        protocol,
        found.version,
        default_template(protocol, kind),
        replace(found.defaults, **settings),
        "a model",
    )


def own(body: str, answer_format: str, **settings: Any) -> JudgeSpec:
    made = spec("own", **settings)
    return replace(made, template=Template("You judge.", body, answer_format).to_json())


def said(values: Mapping[str, Any] | Any, reasoning: str = "because") -> Reply:
    """The JSON that was asked for; a bare value is that of `overall`."""
    verdict = values if isinstance(values, dict) else {"overall": values}
    return Reply(json.dumps({"reasoning": reasoning, "verdict": verdict}))


def soft(**probabilities: float) -> Reply:
    """A reply whose first token has these probabilities; the rest goes to other words."""
    top = {token: math.log(p) for token, p in probabilities.items()}
    likeliest = max(top, key=lambda token: top[token])
    return Reply(likeliest, tokens=(TokenLogprobs(likeliest, top[likeliest], top),))


def key_of(content: ItemContent, chain: Chain, stage: str) -> str:
    return call_key(
        judge_key="1:abc",
        content_hash=content.content_hash(),
        chain=chain,
        purpose=f"judge/{stage}",
    )


def ask(spec: JudgeSpec, content: ItemContent, chain: Chain, model: Model) -> dict[str, Reply]:
    """All calls of one chain, as an engine makes them."""
    replies: dict[str, Reply] = {}
    stage = "first"
    while request := next_request(
        spec, content, chain, replies, nonce=nonce(SECRET, key_of(content, chain, stage))
    ):
        assert request.stage not in replies
        replies[request.stage] = model(request, chain)
        stage = request.stage
    return replies


def judge(spec: JudgeSpec, content: ItemContent, model: Model) -> Combined:
    """All chains of one item, and what they come to."""
    return combine(
        spec,
        content,
        [
            (chain, read_chain(spec, content, chain, ask(spec, content, chain, model)))
            for chain in chains(spec, content)
        ],
    )


def prefers(position: int) -> Model:
    """A judge that knows which response is better, wherever it is shown."""
    return lambda request, chain: said("A" if chain.shown_order[0] == position else "B")


def by_order(first: Any, second: Any) -> Model:
    """What it says when position 0 is shown first, and when it is shown second."""
    return lambda request, chain: said(first if chain.shown_order[0] == 0 else second)
