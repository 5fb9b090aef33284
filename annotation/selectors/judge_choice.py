"""What a new judge may be made of: models on offer, and the protocols that each can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from annotation.judge_words import missing
from annotation.judging.formats import AGREE, AVERAGE
from annotation.judging.protocol import JudgeProtocol, JudgeSpec, default_template, protocols
from annotation.judging.protocols.base import Template
from annotation.judging.settings import LOGPROBS, JudgeSettings
from annotation.models import Judge, JudgeTemplate, Kind, Project, ProviderModel
from annotation.selectors.judge import kinds_of, spec_of
from annotation.selectors.judge_pages import models_on_offer

OWN = "own"


@dataclass(frozen=True)
class Choice:
    """Model, protocol, kind and template, each one of those that may be chosen."""

    model: ProviderModel
    models: list[ProviderModel]
    protocol: JudgeProtocol
    # Those that the model can do for this project, and the others with what keeps them away.
    offered: list[JudgeProtocol]
    refused: list[tuple[JudgeProtocol, str]]
    kind: str
    kinds: list[str]
    # One's own, of this kind; the newest version of each.
    template: JudgeTemplate | None
    templates: list[JudgeTemplate] = field(default_factory=list)

    @property
    def is_own(self) -> bool:
        return self.protocol.key == OWN

    @property
    def can(self) -> dict[str, Any]:
        return dict(self.model.can)

    @property
    def key(self) -> str:
        """Two choices with the same key have the same defaults."""
        return f"{self.protocol.key}:{self.kind}:{self.template.pk if self.template else ''}"

    @property
    def defaults(self) -> dict[str, Any]:
        return self.protocol.defaults.to_dict()

    @property
    def soft_labels(self) -> list[str]:
        """Which the protocol takes and the model can give."""
        given = self.protocol.soft_labels
        return [one for one in given if one != LOGPROBS or self.model.can.get("logprobs")]

    @property
    def text(self) -> str:
        """The texts that a judge of this choice sends, as JSON."""
        if self.template is not None:
            return template_text(self.template)
        return default_template(self.protocol.key, self.kind)

    @property
    def texts(self) -> Template:
        return Template.from_json(self.text)

    @property
    def suggested_name(self) -> str:
        made_by = self.template.name if self.template else self.protocol.title
        return f"{self.model.name.rpartition('/')[2]}, {made_by}"[:100]

    def uses(self, setting: str, *, soft_labels: str, reasons: bool) -> bool:
        """Whether the setting means anything for these texts, with these two other settings."""
        texts = self.texts
        if setting == "max_tokens":
            # A label is a token or two, whatever is set.
            return reasons or soft_labels != LOGPROBS
        if setting in {"principles", "rubric"}:
            return f"{{{setting}}}" in texts.system + texts.body
        if setting == "threshold":
            return texts.format.is_score
        if setting == "tie_band":
            return self.kind == Kind.PAIRWISE and self._reads_probabilities(soft_labels)
        if setting == "both_orders":
            return not texts.one_by_one
        return True

    def _reads_probabilities(self, soft_labels: str) -> bool:
        """Whether a pair's verdict is made of P(first)."""
        rule = self.protocol.combining or self.texts.format.rule
        return rule == AVERAGE or (rule == AGREE and soft_labels == LOGPROBS)

    def spec(self, settings: JudgeSettings) -> JudgeSpec:
        return JudgeSpec(
            protocol=self.protocol.key,
            protocol_version=self.protocol.version,
            template=self.text,
            settings=settings,
            model_name=self.model.name,
        )


def template_text(template: JudgeTemplate) -> str:
    return Template(template.system, template.body, template.answer_format).to_json()


def newest_templates(project: Project) -> list[JudgeTemplate]:
    """The newest version of each of a project's own templates."""
    rows = project.judge_templates.order_by("name", "-version").distinct("name")
    return list(rows.select_related("created_by"))


def completed_choice(project: Project, given: Mapping[str, Any]) -> Choice | None:
    """What is given, where it may be chosen; the first that may be for the rest.

    None while there is no model to ask, or no protocol that one could follow here.
    """
    models = list(models_on_offer())
    if not models:
        return None
    probed = [one for one in models if one.can]
    model = _one(models, given.get("model")) or (probed or models)[0]
    own = newest_templates(project)
    offered, refused = _protocols(project, model, own)
    if not offered:
        return None
    protocol = next((one for one in offered if one.key == given.get("protocol")), offered[0])
    kinds = _kinds(project, protocol, own)
    chosen = _one(own, given.get("template")) if protocol.key == OWN else None
    kind = str(given.get("kind") or "")
    kind = kind if kind in kinds else (chosen.kind if chosen else kinds[0])
    templates = [one for one in own if one.kind == kind] if protocol.key == OWN else []
    template = _one(templates, given.get("template")) or next(iter(templates), None)
    return Choice(
        model, models, protocol, offered, refused, kind, kinds, template, templates
    )  # fmt: skip


def _one(rows: list[Any], key: Any) -> Any:
    return next((row for row in rows if str(row.pk) == str(key)), None)


def _protocols(
    project: Project, model: ProviderModel, own: list[JudgeTemplate]
) -> tuple[list[JudgeProtocol], list[tuple[JudgeProtocol, str]]]:
    offered, refused = [], []
    for protocol in protocols():
        why = _why_not(project, model, protocol, own)
        if why:
            refused.append((protocol, why))
        else:
            offered.append(protocol)
    return offered, refused


def _why_not(
    project: Project, model: ProviderModel, protocol: JudgeProtocol, own: list[JudgeTemplate]
) -> str:
    lacking = missing(protocol.needs, model.can)
    if lacking and not model.can:
        return f"{model.name} must be probed first: it has to {' and '.join(lacking)}."
    if lacking:
        return f"{model.name} cannot {' or '.join(lacking)}."
    if protocol.key == OWN and not _kinds(project, protocol, own):
        return "This project has no template of its own yet. Write one."
    if not _kinds(project, protocol, own):
        return f"It judges {' and '.join(protocol.kinds)} items; this project asks none."
    return ""


def _kinds(project: Project, protocol: JudgeProtocol, own: list[JudgeTemplate]) -> list[str]:
    can = {one.kind for one in own} if protocol.key == OWN else set(protocol.kinds)
    return [kind for kind in kinds_asked(project) if kind in can]


def kinds_asked(project: Project) -> list[str]:
    """Of the project's items, what most judges are made for first."""
    asked = project.protocol.kinds
    return [kind for kind in (Kind.PAIRWISE, Kind.LISTWISE, Kind.THUMBS) if kind in asked]


def choice_of(judge: Judge) -> dict[str, Any]:
    """What the form is filled with to make the next version of a judge."""
    kinds = kinds_of(spec_of(judge))
    template = _template_of(judge) if judge.protocol == OWN else None
    return {
        "template": str(template.pk) if template is not None else "",
        "model": str(judge.model_id or ""),
        "protocol": judge.protocol,
        "kind": kinds[0] if kinds else "",
        "name": judge.name,
        **{f"setting-{name}": value for name, value in judge.settings.items()},
    }


def _template_of(judge: Judge) -> JudgeTemplate | None:
    """The newest version of the template that its texts were copied from."""
    texts = Template.from_json(judge.template)
    saved = JudgeTemplate.objects.filter(project=judge.project_id)
    same = saved.filter(
        system=texts.system, body=texts.body, answer_format=texts.answer_format
    ).first()
    return saved.filter(name=same.name).order_by("-version").first() if same else None
