"""How many calls and tokens an item takes, before it is asked about."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from annotation.judging.asking import SHOWN_OF_A_BAD_REPLY, chains, most_calls, next_request
from annotation.judging.content import ItemContent
from annotation.judging.exchange import REASON
from annotation.judging.protocol import JudgeSpec
from annotation.judging.reading import questions
from annotation.judging.tokens import Rates, cost, likely_tokens, request_tokens

# Bytes that a repair adds: the bad reply, its two messages, and what is wrong with it.
REPAIR = SHOWN_OF_A_BAD_REPLY + 400


class Size(NamedTuple):
    """Calls, likely input tokens and longest output of an item; and the most with all repairs."""

    calls: int
    prompt: int
    completion: int
    most_completion: int
    most: Decimal


def size_of(spec: JudgeSpec, content: ItemContent, price: Rates | None) -> Size:
    ways = chains(spec, content)
    request = next_request(spec, content, ways[0], {}, nonce="0" * 20)
    if request is None:
        return Size(0, 0, 0, 0, Decimal(0))
    verdicts = questions(spec, content)
    asked = len(verdicts)
    reasons = int(request.stage == REASON)
    per_chain = asked + reasons
    calls = per_chain * len(ways)
    # What was reasoned is sent along with each question.
    more = reasons * asked * request.max_tokens * len(ways)
    prompt = likely_tokens(request.messages) * calls + more
    most_asked = most_calls(spec, content)
    # A repair shows the bad reply, and asks once more.
    repairs = sum(len(one.instruction.encode()) + REPAIR for one in verdicts) * len(ways)
    into = request_tokens(request) * most_asked + 2 * more + repairs
    most = cost(into, request.max_tokens * most_asked, price)
    completion, longest = request.max_tokens * calls, request.max_tokens * most_asked
    return Size(calls, prompt, completion, longest, most)
