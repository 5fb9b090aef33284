"""Reading a reply that may not be the JSON that was asked for. It never guesses.

What is accepted: one JSON object with a verdict, alone, in prose or in a code block; or, where one
label for one criterion is asked, the bare label or a marked one ([[A]], "Verdict: A"). Everything
found must say the same: two verdicts that differ are no verdict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from annotation.judging.formats import LETTERS, AnswerFormat

LONGEST_REPLY = 100_000
REASON_KEYS = ("reasoning", "feedback", "explanation", "rationale", "reason")
_VERDICT = "verdict"
_OBJECT = re.compile(r'\{(?=\s*["\'}])')
_MARKED = re.compile(
    r"\[\[([^\[\]\n]{1,20})\]\]"
    r"|\[RESULT\][ \t]*:?[ \t]*([^\n]{1,40})"
    r"|^[ \t>#*_]*(?:my |the |final |overall )*(?:verdict|answer|decision|choice|score|rating|"
    r"total score)[ \t*_]*(?::|=|\bis\b)[ \t*_]*([^\n]{1,40})",
    re.IGNORECASE | re.MULTILINE,
)
_WRAPPING = " \t\r\n\"'`*_.()[]:"


class Unreadable(ValueError):
    """No verdict, or more than one; the text says which."""


class _Twice(ValueError):
    pass


def read_values(
    text: str, answers: AnswerFormat, criteria: Sequence[str], shown: int
) -> dict[str, Any]:
    """The value of each criterion as shown: a label, a number, numbers by letter, or ranks.

    Raises Unreadable where there is none or where there are several that differ.
    """
    if len(text) > LONGEST_REPLY:
        raise Unreadable("the reply is too long")
    try:
        return _read_values(text, answers, criteria, shown)
    except RecursionError:
        raise Unreadable("its JSON is nested too deeply") from None


def _read_values(
    text: str, answers: AnswerFormat, criteria: Sequence[str], shown: int
) -> dict[str, Any]:
    objects, rest = _objects(text)
    found = [
        _values(verdict, answers, criteria, shown) for one in objects for verdict in _verdicts(one)
    ]
    if len(criteria) == 1 and answers.labels and (shown == 1 or not answers.is_score):
        said = _said(rest, answers, alone=not found)
        found += [{criteria[0]: value} for value in said]
    if not found:
        raise Unreadable("there is no verdict in it")
    if any(values != found[0] for values in found):
        raise Unreadable("it gives more than one verdict, and they differ")
    return found[0]


def read_reason(text: str) -> str:
    """The reasoning of a reply, or its prose; for people to read, never for a verdict."""
    try:
        objects, rest = _objects(text[:LONGEST_REPLY])
    except Unreadable:
        return text[:LONGEST_REPLY].strip()
    for one in objects:
        for key in REASON_KEYS:
            if isinstance(one.get(key), str):
                return str(one[key]).strip()
    return rest.replace("```json", "").replace("```", "").strip() if objects else text.strip()


def _objects(text: str) -> tuple[list[dict[str, Any]], str]:
    """The outermost JSON objects, and the text without them.

    A broken one is an end: what stands inside it may be a text that it quotes.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_once)
    objects, rest, place = [], [], 0
    for match in _OBJECT.finditer(text):
        if match.start() < place:
            continue
        try:
            one, end = decoder.raw_decode(text, match.start())
        except _Twice as error:
            raise Unreadable(str(error)) from None
        except (ValueError, RecursionError):
            raise Unreadable("its JSON is broken or cut off") from None
        rest.append(text[place : match.start()])
        objects.append(one)
        place = end
    rest.append(text[place:])
    return objects, " ".join(rest)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values and values[key] != value:
            raise _Twice(f"its JSON gives {key[:40]!r} twice")
        values[key] = value
    return values


def _verdicts(one: dict[str, Any]) -> Iterator[Any]:
    """Every verdict in it, also inside a wrapping object."""
    if _VERDICT in one:
        yield one[_VERDICT]
    for key, value in one.items():
        if key != _VERDICT and isinstance(value, dict):
            yield from _verdicts(value)


def _values(
    verdict: Any, answers: AnswerFormat, criteria: Sequence[str], shown: int
) -> dict[str, Any]:
    read = _reader(answers, shown)
    given = verdict if isinstance(verdict, dict) else {}
    by_key = {key.strip().casefold(): value for key, value in given.items()}
    if len(by_key) != len(given):
        raise Unreadable("it gives a criterion twice")
    keys = {key: key.casefold() for key in criteria}
    if len(criteria) == 1 and keys[criteria[0]] not in by_key:
        return {criteria[0]: read(verdict)}
    missing = [key for key in criteria if keys[key] not in by_key]
    if missing:
        raise Unreadable(f"there is no verdict for {', '.join(missing)}")
    return {key: read(by_key[keys[key]]) for key in criteria}


def _reader(answers: AnswerFormat, shown: int) -> Callable[[Any], Any]:
    if answers.is_ranking:
        return lambda value: _ranks(value, shown)
    if answers.is_score and shown > 1:
        return lambda value: _scores(value, answers, shown)
    return lambda value: _label(value, answers)


def _label(value: Any, answers: AnswerFormat) -> Any:
    """One of the labels, a score as a whole number."""
    if isinstance(value, bool) and answers.key == "yes_no":
        value = "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Unreadable(f"{str(value)[:40]!r} is none of {', '.join(answers.labels)}")
    text = str(value).strip(_WRAPPING).casefold()
    labels = _spellings(answers)
    if text not in labels:
        raise Unreadable(f"{str(value)[:40]!r} is none of {', '.join(answers.labels)}")
    return int(labels[text]) if answers.is_score else labels[text]


@lru_cache
def _spellings(answers: AnswerFormat) -> dict[str, str]:
    labels = {label.casefold(): label for label in answers.labels}
    if answers.is_score:
        return labels | {f"{label}/{answers.labels[-1]}": label for label in answers.labels}
    labels |= dict(zip(map(str.casefold, answers.tokens), answers.labels, strict=False))
    for word in ("answer", "response", "assistant"):
        labels |= {
            f"{word} {label.casefold()}": label for label in answers.labels if label in LETTERS
        }
    return labels


def _scores(value: Any, answers: AnswerFormat, shown: int) -> dict[str, int]:
    """A score for each letter."""
    letters = LETTERS[:shown]
    if isinstance(value, list) and len(value) == shown:
        value = dict(zip(letters, value, strict=True))
    if not isinstance(value, dict):
        raise Unreadable(f"there is no score for each of {', '.join(letters)}")
    given = {_letter(key, shown): score for key, score in value.items()}
    if len(given) != len(value) or set(given) != set(letters):
        raise Unreadable(f"there is not one score for each of {', '.join(letters)}")
    return {letter: _label(given[letter], answers) for letter in letters}


def _ranks(value: Any, shown: int) -> tuple[int, ...]:
    """Of the responses as shown, 1 = best; a place that is shared is one list."""
    if isinstance(value, str):
        value = [re.split(r"\s*=\s*", place) for place in re.split(r"\s*>\s*", value)]
    if not isinstance(value, list):
        raise Unreadable("the ranking is no list")
    places = [place if isinstance(place, list) else [place] for place in value]
    said = [(_letter(letter, shown), rank) for rank, place in enumerate(places) for letter in place]
    ranks = dict(said)
    if len(said) != shown or len(ranks) != shown or not all(places):
        raise Unreadable(f"the ranking does not have each of {', '.join(LETTERS[:shown])} once")
    return tuple(ranks[letter] + 1 for letter in LETTERS[:shown])


def _letter(value: Any, shown: int) -> str:
    text = str(value).strip(_WRAPPING).casefold()
    for word in ("answer ", "response ", "assistant "):
        text = text.removeprefix(word)
    letter = text.upper()
    if len(letter) != 1 or letter not in LETTERS[:shown]:
        raise Unreadable(f"{str(value)[:40]!r} is none of {', '.join(LETTERS[:shown])}")
    return letter


def _said(text: str, answers: AnswerFormat, *, alone: bool) -> list[Any]:
    """What is said outside JSON: marked words, or, with `alone`, the whole text as a bare label."""
    marked = [next(filter(None, match.groups())) for match in _MARKED.finditer(text)]
    if alone and marked:
        return [_label(value, answers) for value in marked]
    # Beside a JSON verdict, prose such as "the answer is short" says no verdict.
    read = [_label_or_none(value, answers) for value in ([text] if alone else marked)]
    return [value for value in read if value is not None]


def _label_or_none(value: str, answers: AnswerFormat) -> Any:
    try:
        return _label(value, answers)
    except Unreadable:
        return None
