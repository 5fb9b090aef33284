"""Checks of a researcher's own template: plain named placeholders and nothing else."""

from __future__ import annotations

import re

from annotation.judging.content import KINDS, LISTWISE, PAIRWISE, THUMBS
from annotation.judging.formats import FORMATS, AnswerFormat

LONGEST_TEMPLATE = 20_000
# What looks like a placeholder and is none is left as it stands, and told.
_NAMED = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,39})\}")
_MARKS = re.compile(r"\{%|\{\{|\{#|<%|\$\{")

PLACEHOLDER_HELP: dict[str, str] = {
    "prompt": "the whole conversation",
    "response_a": "the answer shown first (pairs)",
    "response_b": "the answer shown second (pairs)",
    "responses": "all responses, lettered in the order shown",
    "response": "one response: each is then shown alone and scored in a call of its own",
    "criteria": "the project's criteria with their definitions",
    "guidelines": "the project's guidelines; nothing where there are none",
    "reference": "the item's reference answer, where it has one and the judge may use it",
    "principles": "one of the judge's principles a sample",
    "rubric": "what each score means, as the judge's settings say",
}


PLACEHOLDERS = tuple(PLACEHOLDER_HELP)


def formats_for(kind: str) -> tuple[AnswerFormat, ...]:
    """The answer formats that items of this kind can have."""
    return tuple(one for one in FORMATS.values() if kind in one.kinds)


def check_template(kind: str, answer_format: str, system: str, body: str) -> list[str]:
    """What is wrong with it, in plain words; empty when it can be used."""
    if kind not in KINDS:
        return [f"There is no kind “{kind}”; choose {', '.join(KINDS)}."]
    if answer_format not in FORMATS:
        return [f"There is no answer format “{answer_format}”; choose {', '.join(FORMATS)}."]
    answers = FORMATS[answer_format]
    if kind not in answers.kinds:
        allowed = ", ".join(one.title for one in formats_for(kind))
        return [f"“{answers.title}” cannot be answered for {kind} items; choose {allowed}."]
    return [
        *_texts(system, body),
        *_placeholders(system, body),
        *_responses(kind, answers, set(_NAMED.findall(body))),
    ]


def _texts(system: str, body: str) -> list[str]:
    problems = []
    if not body.strip():
        problems.append("The body is empty: say what the judge is to do, and show {prompt}.")
    for name, text in (("system text", system), ("body", body)):
        if len(text) > LONGEST_TEMPLATE:
            problems.append(f"The {name} is longer than {LONGEST_TEMPLATE:,} characters.")
        if _MARKS.search(text):
            problems.append(
                f"The {name} has marks of a template language ({{%, {{{{, ${{…): only placeholders "
                "such as {prompt} are filled, and the marks would be sent as they stand."
            )
    return problems


def _placeholders(system: str, body: str) -> list[str]:
    known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    unknown = [name for name in dict.fromkeys(_NAMED.findall(body)) if name not in PLACEHOLDERS]
    problems = [f"{{{name}}} is no placeholder; there are {known}." for name in unknown]
    filled = [name for name in dict.fromkeys(_NAMED.findall(system)) if name in PLACEHOLDERS]
    if filled:
        problems.append(
            f"The system text has {{{filled[0]}}}: what others wrote belongs in the body, where it "
            "is marked as data. Move it there."
        )
    if body.strip() and "{prompt}" not in body:
        problems.append("The body lacks {prompt}: the judge would not see what was asked.")
    return problems


def _responses(kind: str, answers: AnswerFormat, used: set[str]) -> list[str]:
    """Each kind shows its responses in one way, and every one of them."""
    pair, alone, whole = {"response_a", "response_b"}, "response" in used, "responses" in used
    problems = []
    if used & pair and kind != PAIRWISE:
        problems.append("{response_a} and {response_b} are for pairs; take {responses}.")
    elif len(used & pair) == 1:
        problems.append("Show both {response_a} and {response_b}.")
    if alone + whole + bool(used & pair) > 1:
        problems.append("Show the responses in one way: one by one, as A and B, or all together.")
    if not (alone or whole or used & pair):
        wanted = {PAIRWISE: "{response_a} and {response_b}", LISTWISE: "{responses}"}
        problems.append(
            f"The body lacks {wanted.get(kind, '{response}')}: the judge would not see what it "
            "judges."
        )
    if alone and kind != THUMBS and not answers.is_score:
        problems.append(
            f"{{response}} shows one response alone, and “{answers.title}” compares several: "
            "choose a score, or show them together."
        )
    return problems
