"""The registry of protocols, and what makes a judge ask as it does."""

from __future__ import annotations

from dataclasses import dataclass

from annotation.judging.content import Criterion, ItemContent
from annotation.judging.formats import AnswerFormat
from annotation.judging.own_template import check_template
from annotation.judging.protocols import ALL
from annotation.judging.protocols.base import JudgeProtocol, Template, needs_of
from annotation.judging.settings import LOGPROBS, SAMPLES, JudgeSettings

__all__ = [
    "JudgeProtocol",
    "JudgeSpec",
    "Template",
    "check_spec",
    "default_template",
    "get_protocol",
    "needs_of",
    "protocols",
]

_BY_KEY = {protocol.key: protocol for protocol in ALL}


def protocols() -> tuple[JudgeProtocol, ...]:
    return ALL


def get_protocol(key: str) -> JudgeProtocol:
    if key not in _BY_KEY:
        raise ValueError(f"protocol: {key!r} is not one of {', '.join(_BY_KEY)}")
    return _BY_KEY[key]


def default_template(key: str, kind: str) -> str:
    """The protocol's own texts for this kind as JSON, as a judge copies them when it is made."""
    protocol = get_protocol(key)
    if kind not in protocol.templates:
        raise ValueError(f"kind: {protocol.title} asks {', '.join(protocol.kinds)}, not {kind}")
    return protocol.templates[kind].to_json()


@dataclass(frozen=True)
class JudgeSpec:
    """Everything that decides what is sent and how it is read; `template` is JSON."""

    protocol: str
    protocol_version: int
    template: str
    settings: JudgeSettings
    model_name: str
    # Added to each seed that is sent, and to nothing else: for asking the same once more.
    seed_shift: int = 0

    @property
    def texts(self) -> Template:
        return Template.from_json(self.template)

    @property
    def format(self) -> AnswerFormat:
        return self.texts.format

    @property
    def rule(self) -> str:
        return get_protocol(self.protocol).combining or self.format.rule

    @property
    def by_labels(self) -> bool:
        """Whether single tokens are asked for and their log-probabilities read."""
        return self.settings.soft_labels == LOGPROBS

    @property
    def principles(self) -> tuple[str, ...]:
        """Of the constitution: the judge's own, else the protocol's; a sample is asked by one."""
        text = self.settings.principles.strip() or get_protocol(self.protocol).principles
        return tuple(line.strip() for line in text.splitlines() if line.strip())

    def asked(self, content: ItemContent) -> tuple[Criterion, ...]:
        """What the model is asked about: the project's criteria, or the protocol's aspects."""
        aspects = get_protocol(self.protocol).aspects
        if aspects and len(content.criteria) == 1:
            return tuple(Criterion(*aspect) for aspect in aspects)
        return content.criteria


def check_spec(spec: JudgeSpec, kind: str) -> list[str]:
    """What keeps this judge from judging items of this kind, in plain words; empty: nothing."""
    protocol = get_protocol(spec.protocol)
    answers, soft = spec.format, spec.settings.soft_labels
    problems = []
    if kind not in protocol.kinds:
        problems.append(f"{protocol.title} judges {', '.join(protocol.kinds)}, not {kind}.")
    if soft not in protocol.soft_labels:
        allowed = " or ".join(protocol.soft_labels)
        problems.append(f"soft_labels: {protocol.title} takes {allowed}, not {soft}.")
    elif soft == LOGPROBS and not (answers.tokens and (spec.texts.one_by_one or not _joint(spec))):
        problems.append(
            f"soft_labels: log-probabilities are of one short label, and “{answers.title}” "
            "is answered in another way. Choose none or samples."
        )
    elif soft == SAMPLES and not _samples_differ(spec):
        problems.append(
            "soft_labels: the samples of an order would all be one and the same question, and "
            "their shares say nothing. Ask at least 2 samples at a temperature above 0, choose "
            "none, or give each sample a principle of its own."
        )
    if spec.protocol_version != protocol.version:
        problems.append(
            f"protocol_version: {spec.protocol_version} is not the one that this version of the "
            f"program speaks ({protocol.version})."
        )
    texts = spec.texts
    return problems + check_template(kind, texts.answer_format, texts.system, texts.body)


def _samples_differ(spec: JudgeSpec) -> bool:
    """By chance, or because each is asked by another principle."""
    settings = spec.settings
    if settings.samples < 2:
        return False
    by_principle = len(spec.principles) > 1 and "{principles}" in spec.texts.body
    return settings.temperature > 0 or by_principle


def _joint(spec: JudgeSpec) -> bool:
    """Whether one reply scores several responses."""
    return spec.format.is_score and not spec.texts.one_by_one
