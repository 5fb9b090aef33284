"""The form of one's own text for a judge: plain named placeholders, and no template language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from annotation.judge_words import listed
from annotation.judging.formats import FORMATS
from annotation.judging.own_template import (
    LONGEST_TEMPLATE,
    PLACEHOLDER_HELP,
    formats_for,
)
from annotation.judging.protocol import get_protocol
from annotation.judging.protocols.base import Template
from annotation.models import Judge, JudgeTemplate, Kind, Project, ProviderModel
from annotation.selectors.judge import kinds_of, spec_of
from annotation.selectors.judge_choice import OWN, kinds_asked
from annotation.selectors.judge_pages import models_on_offer
from annotation.services.judge_template import DRAFT

# Those that mean something for some kinds alone; the others do for each.
FOR_KINDS: dict[str, tuple[str, ...]] = {
    "response_a": (Kind.PAIRWISE,),
    "response_b": (Kind.PAIRWISE,),
    "responses": (Kind.PAIRWISE, Kind.LISTWISE),
}


def placeholders_of(kind: str) -> list[tuple[str, str]]:
    """With their braces, for the buttons that insert them."""
    return [
        (f"{{{name}}}", f"{words[0].upper()}{words[1:]}.")
        for name, words in PLACEHOLDER_HELP.items()
        if kind in FOR_KINDS.get(name, (kind,))
    ]


class TemplateForm(forms.Form):
    name = forms.CharField(
        max_length=100, help_text="The same name with other texts is its next version."
    )
    kind = forms.ChoiceField(label="Items", help_text="The items that the text is for.")
    answer_format = forms.ChoiceField(
        label="Answer",
        choices=[(key, f"{one.title} ({listed(one.kinds)})") for key, one in FORMATS.items()],
        help_text="What may be answered for each criterion. How to write it is added to your text, "
        "and so is what keeps the responses from giving orders.",
    )
    system = forms.CharField(
        label="System text",
        max_length=LONGEST_TEMPLATE,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )
    body = forms.CharField(
        label="Body",
        max_length=LONGEST_TEMPLATE,
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false"}),
        help_text="Your words, with placeholders where the item's texts shall stand.",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kinds = kinds_asked(project)
        choices = [(kind, kind.capitalize()) for kind in self.kinds]
        self.fields["kind"].choices = choices  # type: ignore[attr-defined]

    @staticmethod
    def first(project: Project, given: Mapping[str, Any]) -> dict[str, str]:
        """A text to begin with, for a kind of the project."""
        kinds = kinds_asked(project)
        kind = str(given.get("kind") if given.get("kind") in kinds else kinds[0])
        texts = get_protocol(OWN).templates[kind]
        return {
            "kind": kind,
            "answer_format": texts.answer_format,
            "system": texts.system,
            "body": texts.body,
        }

    @staticmethod
    def values_of(template: JudgeTemplate) -> dict[str, str]:
        names = ("name", "kind", "answer_format", "system", "body")
        return {name: getattr(template, name) for name in names}

    @staticmethod
    def values_of_draft(project: Project, judge: Judge) -> dict[str, str]:
        """What was tried, to go on with."""
        texts, able = Template.from_json(judge.template), kinds_of(spec_of(judge))
        return {
            "name": judge.name.removeprefix(DRAFT).removeprefix(" of "),
            "kind": next((kind for kind in kinds_asked(project) if kind in able), able[0]),
            "answer_format": texts.answer_format,
            "system": texts.system,
            "body": texts.body,
        }

    def so_far(self) -> dict[str, str]:
        """The texts as they stand, valid or not; choices that are none are the first."""
        texts = {
            name: str(self[name].value() or "")[:LONGEST_TEMPLATE] for name in ("system", "body")
        }
        kind, answers = str(self["kind"].value()), str(self["answer_format"].value())
        kind = kind if kind in self.kinds else self.kinds[0]
        answers = answers if answers in FORMATS else formats_for(kind)[0].key
        return {"kind": kind, "answer_format": answers, **texts}


class TryForm(forms.Form):
    """Which model is asked about ten items, by a text that need not be saved."""

    model = forms.ModelChoiceField(
        queryset=ProviderModel.objects.none(), empty_label=None, label="Model to try it on"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = models_on_offer()
        self.fields["model"].queryset = models  # type: ignore[attr-defined]
        self.fields["model"].initial = models.exclude(can={}).first()
        self.is_offered = models.exists()
