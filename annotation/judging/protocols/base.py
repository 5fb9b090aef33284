"""What a protocol is: a named, versioned way of asking, with its source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from annotation.judging.formats import AnswerFormat, get_format
from annotation.judging.settings import LOGPROBS, NO_SOFT_LABELS, SAMPLES, JudgeSettings


@dataclass(frozen=True)
class Template:
    """The texts that are sent, with plain named placeholders, and the shape of the answer."""

    system: str
    body: str
    answer_format: str

    @property
    def format(self) -> AnswerFormat:
        return get_format(self.answer_format)

    @property
    def one_by_one(self) -> bool:
        """Whether each response is shown alone, in a call of its own."""
        return "{response}" in self.body

    def to_json(self) -> str:
        kept = {"system": self.system, "body": self.body, "answer_format": self.answer_format}
        return json.dumps(kept, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Template:
        return _parsed(text)


# A run asks for it once a call.
@lru_cache(maxsize=256)
def _parsed(text: str) -> Template:
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ValueError(f"template: is no JSON. {error}") from error
    if not isinstance(given, dict) or set(given) != {"system", "body", "answer_format"}:
        raise ValueError("template: must be an object of system, body and answer_format")
    if not all(isinstance(value, str) for value in given.values()):
        raise ValueError("template: system, body and answer_format must be texts")
    get_format(given["answer_format"])
    return Template(**given)


@dataclass(frozen=True)
class JudgeProtocol:
    """`rule` says in words what happens when the orders disagree; `combining` is its name.

    `needs` is what the model must be able to do under the defaults, of "logprobs", "json_schema",
    "choices", "n" and "seed"; see `needs_of` for other settings.
    """

    key: str
    version: int
    title: str
    source: str
    url: str
    summary: str
    rule: str
    templates: Mapping[str, Template]
    defaults: JudgeSettings = field(default_factory=JudgeSettings)
    # Empty: the rule of the answer's format.
    combining: str = ""
    soft_labels: tuple[str, ...] = (NO_SOFT_LABELS, LOGPROBS, SAMPLES)
    # Asked where `JudgeSettings.principles` and `.rubric` are empty.
    principles: str = ""
    rubric: str = ""
    # A project of a single criterion is asked for these, and gets their mean.
    aspects: tuple[tuple[str, str, str], ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(self.templates)

    @property
    def needs(self) -> frozenset[str]:
        return needs_of(self.defaults)


def needs_of(settings: JudgeSettings) -> frozenset[str]:
    """What a model must be able to do for these settings. The rest is used where it can."""
    return frozenset({"logprobs"} if settings.soft_labels == LOGPROBS else ())
