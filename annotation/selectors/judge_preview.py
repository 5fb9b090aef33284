"""The messages that a judge would send for a real item, before any is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotation.judging.asking import chains, next_request
from annotation.judging.exchange import REASON, Reply
from annotation.judging.protocol import JudgeSpec
from annotation.judging.tokens import request_tokens
from annotation.models import Item, Project
from annotation.selectors.judge import content_of
from annotation.selectors.judge_pages import usable_items

# Real ones differ from call to call, so that nobody who writes a response can guess them.
NONCE = "preview0preview0prev"
FIRST, THEN, ONLY = "First it reasons", "Then it says its verdict", "What it is asked"
STANDS_HERE = "(What the model reasoned stands here.)"


@dataclass(frozen=True)
class PreviewedRequest:
    title: str
    messages: list[dict[str, Any]]
    max_tokens: int
    # JSON schema, choices and log-probabilities, in words.
    bound: list[str]


@dataclass(frozen=True)
class Preview:
    item: Item
    requests: list[PreviewedRequest]
    # How often it is asked about this item: orders times samples, or once for each response.
    chains: int
    tokens: int


def item_for_preview(project: Project, kind: str, *, after: int = 0) -> Item | None:
    """An item that could be judged; the one before `after`, and round again at the end."""
    items = usable_items(project, [kind]).order_by("-pk")
    return items.filter(pk__lt=after).first() or items.first() if after else items.first()


def preview(spec: JudgeSpec, item: Item) -> Preview:
    content = content_of(item)
    ways = chains(spec, content)
    replies: dict[str, Reply] = {}
    requests = []
    request = next_request(spec, content, ways[0], replies, nonce=NONCE)
    tokens = 0
    while request is not None and request.stage not in replies:
        tokens += request_tokens(request)
        title = FIRST if request.stage == REASON else THEN if replies else ONLY
        requests.append(
            PreviewedRequest(title, request.messages, request.max_tokens, _bound(request))
        )
        if request.stage != REASON:
            break
        replies[request.stage] = Reply(STANDS_HERE)
        request = next_request(spec, content, ways[0], replies, nonce=NONCE)
    return Preview(item, requests, len(ways), tokens)


def _bound(request: Any) -> list[str]:
    words = [f"at most {request.max_tokens:,} tokens", f"temperature {request.temperature:g}"]
    if request.choices:
        words.append(f"one of {', '.join(request.choices)}")
    if request.schema:
        words.append("bound to a JSON schema where the model can")
    if request.top_logprobs:
        words.append(f"with the log-probabilities of {request.top_logprobs} tokens")
    return words
