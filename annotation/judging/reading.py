"""The questions of a chain, and the reading of a reply to each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from annotation.judging.content import Criterion, ItemContent
from annotation.judging.exchange import REPAIR, VERDICT, Reply
from annotation.judging.formats import AnswerFormat, closed_object
from annotation.judging.labels import NoLabel, label_probabilities
from annotation.judging.parsing import Unreadable, read_values
from annotation.judging.protocol import JudgeSpec


@dataclass(frozen=True)
class Question:
    """One call's question: a label of one criterion, or one JSON reply for all criteria."""

    number: int
    criteria: tuple[Criterion, ...]
    answers: AnswerFormat
    shown: int
    by_labels: bool
    reasoning: bool

    @property
    def verdict(self) -> str:
        return VERDICT if self.number == 1 else f"{VERDICT} {self.number}"

    @property
    def repair(self) -> str:
        return REPAIR if self.number == 1 else f"{REPAIR} {self.number}"

    @property
    def instruction(self) -> str:
        return _label_instruction(self) if self.by_labels else _json_instruction(self)

    @property
    def schema(self) -> dict[str, Any]:
        value = self.answers.schema(self.shown)
        verdict = closed_object({criterion.key: value for criterion in self.criteria})
        reasoning = {"reasoning": {"type": "string"}} if self.reasoning else {}
        return closed_object(reasoning | {"verdict": verdict})


def questions(spec: JudgeSpec, content: ItemContent) -> tuple[Question, ...]:
    """Labels are asked one criterion at a time, JSON for all of them at once."""
    shown = 1 if spec.texts.one_by_one else len(content.responses)
    asked = spec.asked(content)
    return _questions(asked, spec.format, shown, spec.by_labels, spec.settings.reasoning)


# The same for every item of a run.
@lru_cache(maxsize=256)
def _questions(
    asked: tuple[Criterion, ...], answers: AnswerFormat, shown: int, by_labels: bool, reason: bool
) -> tuple[Question, ...]:
    parts = [(criterion,) for criterion in asked] if by_labels else [asked]
    return tuple(
        Question(number, part, answers, shown, by_labels, reason)
        for number, part in enumerate(parts, start=1)
    )


def _label_instruction(question: Question) -> str:
    one, answers = question.criteria[0], question.answers
    meaning = answers.meaning
    for label, token in zip(answers.labels, answers.tokens, strict=True):
        meaning = meaning.replace(f'"{label}"', token)
    definition = f" ({one.definition.strip()})" if one.definition.strip() else ""
    return (
        f"Judge by this alone: {one.name}{definition}\n"
        f"Reply with {meaning}. Reply with nothing else: one of {', '.join(answers.tokens)}."
    )


def _json_instruction(question: Question) -> str:
    value = question.answers.example(question.shown)
    verdict = ", ".join(f'"{criterion.key}": {value}' for criterion in question.criteria)
    reasoning = '"reasoning": "…", ' if question.reasoning else ""
    lines = [
        "Reply with one JSON object and nothing else, of this form:",
        f'{{{reasoning}"verdict": {{{verdict}}}}}',
    ]
    if "|" in value:
        lines.append("A bar stands between the values that may be given.")
    if question.reasoning:
        lines.append('"reasoning": what counts for your verdict, written before it.')
    each = " for each response by its letter" if _by_letter(question) else ""
    lines.append(f'"verdict": by each key{each}, {question.answers.meaning}.')
    return "\n".join(lines)


def _by_letter(question: Question) -> bool:
    return question.answers.is_score and question.shown > 1


def is_refusal(reply: Reply) -> bool:
    """The model or its filter will not judge; to ask again would only cost."""
    return bool(reply.refusal) or reply.finish_reason == "content_filter"


def read_reply(question: Question, reply: Reply) -> dict[str, Any]:
    """The value of each criterion as shown; raises Unreadable, or MissingLogprobs."""
    if is_refusal(reply):
        raise Unreadable(f"the model refused: {reply.refusal[:200] or 'its filter stopped it'}")
    if question.by_labels:
        try:
            shares = label_probabilities(reply, question.answers.tokens)
        except NoLabel as error:
            raise Unreadable(str(error)) from None
        return {question.criteria[0].key: shares}
    keys = [criterion.key for criterion in question.criteria]
    return read_values(reply.text, question.answers, keys, question.shown)


def problem_of(question: Question, reply: Reply) -> str:
    """Why the reply cannot be read; empty when it can. Raises MissingLogprobs."""
    try:
        read_reply(question, reply)
    except Unreadable as error:
        return str(error)
    return ""


def values_of_chain(
    spec: JudgeSpec, content: ItemContent, replies: Mapping[str, Reply]
) -> dict[str, Any]:
    """Of every question, from its repair where there is one. Raises Unreadable."""
    values: dict[str, Any] = {}
    for question in questions(spec, content):
        reply = replies.get(question.repair) or replies.get(question.verdict)
        if reply is None:
            raise Unreadable("it was not asked to its end")
        values |= read_reply(question, reply)
    return values
