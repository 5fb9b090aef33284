"""What models can do, what runs and calls came to, and what they cost, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

# What a probe finds out, in the order in which it is told.
ABILITIES = {
    "logprobs": "give log-probabilities",
    "json_schema": "answer by a JSON schema",
    "choices": "constrain choices",
    "n": "give several samples a call",
    "seed": "take a seed",
}

CALL_STATES = {
    "intended": "out, or waiting",
    "done": "answered",
    "failed": "failed",
    "unknown": "no answer came; asked once more",
}


def listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    given = list(words)
    return " and ".join([", ".join(given[:-1]), given[-1]] if len(given) > 1 else given)


def abilities_in_words(can: Mapping[str, Any]) -> str:
    """`can give log-probabilities (20); cannot constrain choices`; empty before a probe. What the
    endpoint failed over is neither."""
    if not can:
        return ""
    yes = [_with_number(name, words, can) for name, words in ABILITIES.items() if can.get(name)]
    no = [words for name, words in ABILITIES.items() if name in can and not can[name]]
    open_ = [words for name, words in ABILITIES.items() if name not in can]
    parts = [f"can {listed(yes)}"] if yes else []
    parts += [f"cannot {_either(no)}"] if no else []
    parts += [f"not known whether it can {_either(open_)}"] if open_ else []
    return "; ".join(parts)


def _either(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _with_number(name: str, words: str, can: Mapping[str, Any]) -> str:
    most = can.get("top_logprobs")
    return f"{words} ({most})" if name == "logprobs" and most else words


def missing(needs: Iterable[str], can: Mapping[str, Any]) -> list[str]:
    """What a protocol needs and a model cannot, in words."""
    wanted = set(needs)
    known = [name for name in ABILITIES if name in wanted]
    return [ABILITIES[name] for name in known if not can.get(name)]


def dollars(amount: Decimal | float | None) -> str:
    """Two digits that mean something: `$12.40`, `$0.0031`; never `$0.00` for what costs."""
    if amount is None:
        return "–"
    value = Decimal(amount)
    if value == 0:
        return "$0"
    if value >= 1:
        return f"${value:,.2f}"
    whole, _, digits = f"{value:.{max(2, 1 - value.adjusted())}f}".partition(".")
    return f"${whole}.{digits[:2]}{digits[2:].rstrip('0')}"


def seconds(amount: float | None) -> str:
    """`40 s`, `3 min`, `1 h 20 min`."""
    if amount is None:
        return "–"
    if amount < 60:
        return f"{max(1, round(amount))} s"
    minutes = round(amount / 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} min"
