"""How good the server holds each answer that it is shown, by the rule it was given."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.llm_server.script import Script, fraction

# A judge's prompt holds each answer as one line of JSON between marks with a secret of the call.
ANSWER = re.compile(r"^<<<BEGIN response(?: [A-I])? (\S+)>>>\n(.*)\n<<<END ", re.MULTILINE)
# So far apart are answers of which one is clearly better.
CLEAR = 0.25
EVEN = 0.02


def prompt_text(messages: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(_content(message.get("content")) for message in messages)


def answers_in(text: str) -> list[str]:
    """The answers as they are shown, first to last; none where the prompt marks none.

    A chain that reasoned first, or that mends its reply, shows them once as well.
    """
    return [_plain(found) for _, found in ANSWER.findall(text)]


def mark_in(text: str) -> str:
    """The secret of the call, which is the same in all calls of a chain; empty without answers."""
    found = ANSWER.search(text)
    return found[1] if found else ""


def scores_of(answers: Sequence[str], script: Script, question: str) -> list[float]:
    """A number from 0 to 1 for each answer: equal answers have equal ones, unless places count."""
    rule = script.verdict
    if fraction(script.seed, "place", question) < script.position_bias:
        rule = "first"
    count = len(answers)
    return [_score(answer, rule, place, count, script.seed) for place, answer in enumerate(answers)]


def _score(answer: str, rule: str, place: int, count: int, seed: int) -> float:
    if rule == "hash":
        return fraction(seed, "answer", answer)
    if rule in ("longer", "shorter"):
        length = len(answer) / (len(answer) + 200)
        return length if rule == "longer" else 1 - length
    if rule == "tie":
        return 0.5
    part = place / max(count - 1, 1)
    return part if rule == "second" else 1 - part


def strength(scores: Sequence[float]) -> int:
    """-2 to 2: how much better the first of two answers is."""
    if len(scores) < 2:
        return 0
    ahead = scores[0] - scores[1]
    size = 0 if abs(ahead) < EVEN else 2 if abs(ahead) > CLEAR else 1
    return size if ahead > 0 else -size


def _plain(found: str) -> str:
    """The text itself, so that the rule of the longer answer counts no quotation marks."""
    try:
        value = json.loads(found)
    except ValueError:
        return found
    return value if isinstance(value, str) else prompt_text(value)


def _content(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content)
    return str(content or "")
