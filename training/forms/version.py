"""The forms of model versions: promote, roll back, sample."""

from __future__ import annotations

from typing import Any

from django import forms

from annotation.models import Project
from training.forms.key import new_key
from training.forms.options import number_field
from training.models import ModelVersion


class ConfirmForm(forms.Form):
    """A promotion is decided by words, and for the state of things that was seen."""

    confirm = forms.CharField(max_length=60)
    note = forms.CharField(
        max_length=200, required=False, help_text="Why? Kept with the promotion."
    )
    replacing = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(
        self,
        *args: Any,
        word: str,
        project: Project,
        replacing: ModelVersion | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.word = word
        self.project = project
        self.fields["confirm"].label = f"Type “{word}” to confirm"
        self.fields["confirm"].widget.attrs["autocomplete"] = "off"
        self.fields["replacing"].initial = replacing.number if replacing else ""

    def clean_confirm(self) -> str:
        given = str(self.cleaned_data["confirm"]).strip().lower()
        if given != self.word:
            raise forms.ValidationError(f"Type exactly: {self.word}")
        return given

    def clean_replacing(self) -> ModelVersion | None:
        given = str(self.cleaned_data["replacing"])
        return (
            self.project.model_versions.filter(number=given).first() if given.isdecimal() else None
        )


class SampleForm(forms.Form):
    client_key = forms.CharField(widget=forms.HiddenInput, max_length=64)
    sides = forms.ChoiceField(
        label="Prompts",
        choices=[
            ("all", "All prompts of the project"),
            ("train", "Training prompts"),
            ("held_out", "Held-out prompts"),
        ],
    )
    limit = number_field(
        is_whole=True,
        required=False,
        min_value=1,
        max_value=100_000,
        label="At most",
        help_text="Prompts, chosen at random. Empty: all of them.",
    )
    max_new_tokens = number_field(
        is_whole=True,
        initial=256,
        min_value=1,
        max_value=4096,
        label="Longest answer",
        help_text="In tokens, about three quarters of a word each.",
    )
    temperature = number_field(
        initial=0.8,
        min_value=0.0,
        max_value=5.0,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text="0 takes the likeliest word each time; 1 follows the model's own probabilities.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["client_key"].initial = new_key()
