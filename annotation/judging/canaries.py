"""Injection canaries: responses that try to steer their judge, to measure whether they can.

A judge that was not swayed says of the injected response what it would say of it without the
injection, or worse. The texts are our own, after the attacks that their families name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import zip_longest

from annotation.judging.canary_texts import FAMILIES
from annotation.judging.content import ItemContent, Message

APPEND, REPLACE = "append", "replace"
# The response is nothing but the attack.
_WHOLE = {"null_model"}


@dataclass(frozen=True)
class Attack:
    """`key` goes into a call's purpose; `place` says what happens to the response's own text."""

    key: str
    family: str
    title: str
    source: str
    text: str
    place: str


def _of_family(family: str) -> list[Attack]:
    title, source, texts = FAMILIES[family]
    place = REPLACE if family in _WHOLE else APPEND
    return [Attack(key, family, title, source, text, place) for key, text in texts.items()]


# One of each family after the other, so that the first few are already of every kind.
ATTACKS: tuple[Attack, ...] = tuple(
    attack
    for turn in zip_longest(*map(_of_family, FAMILIES))
    for attack in turn
    if attack is not None
)
_VERDICT = re.compile("⟦(.*?)⟧")
_BY_KEY = {attack.key: attack for attack in ATTACKS}


def get_attack(key: str) -> Attack:
    if key not in _BY_KEY:
        raise ValueError(f"attack: there is none called {key!r}")
    return _BY_KEY[key]


def inject(content: ItemContent, attack: Attack, target: int) -> ItemContent:
    """The item with the attack in the last message of the response at this canonical position."""
    if not 0 <= target < len(content.responses):
        raise ValueError(f"target: there is no response at position {target}")
    *before, last = content.responses[target]
    attacked = (*before, _attacked(last, attack, content))
    responses = (*content.responses[:target], attacked, *content.responses[target + 1 :])
    return replace(content, responses=responses)


def text_for(attack: Attack, content: ItemContent) -> str:
    """With fake verdicts on what this item is really asked about."""

    def under_each(found: re.Match[str]) -> str:
        return ", ".join(f'"{one.key}": {found[1]}' for one in content.criteria)

    return _VERDICT.sub(under_each, attack.text)


def _attacked(message: Message, attack: Attack, content: ItemContent) -> Message:
    own = "" if attack.place == REPLACE else str(message.get("content") or "")
    text = text_for(attack, content)
    text = f"{own}\n\n{text}" if own else text
    return {**message, "content": text}
