"""The forms of training. What a run may set comes from the training library's own descriptions."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.conf import settings

from annotation.models import Project
from feedback.models import Snapshot
from training.alignment.config import TrainingConfig
from training.alignment.methods import Method, methods
from training.alignment.options import Option, describe_options
from training.models import ModelVersion
from training.selectors.model import available_models
from training.selectors.training_data import Rows, rows_by_criterion, usable_methods

BASIC = ("learning_rate", "epochs", "max_steps", "batch_size", "gradient_accumulation")
LORA = ("lora_rank", "lora_alpha", "lora_dropout")
# Answered by fields of their own, or by nobody outside the worker.
ELSEWHERE = (
    "method",
    "base_model",
    "reference_model",
    "train_file",
    "held_out_file",
    "output_dir",
    "hyperparameters",
    "adapter",
    "device",
)
# A sum over few weights needs a larger step than a sum over all.
LORA_LEARNING_RATE = 1e-4
DEFAULT_LEARNING_RATES = {
    str(rate)
    for option in describe_options(TrainingConfig)
    if option.name == "learning_rate"
    for rate in (option.default, LORA_LEARNING_RATE)
}
METHOD_PREFIX = "method-"
SPELLED = {"lora": "LoRA", "dtype": "Precision"}


def option_field(option: Option) -> forms.Field:
    common: dict[str, Any] = {
        "label": _label(option.name),
        "help_text": option.help,
        "initial": option.default,
        "required": not option.nullable,
    }
    if option.choices:
        return forms.ChoiceField(choices=[(word, word) for word in option.choices], **common)
    if option.type is bool:
        return forms.BooleanField(**{**common, "required": False})
    limits: dict[str, Any] = {"min_value": option.min, "max_value": option.max}
    if option.type is int:
        return forms.IntegerField(**common, **limits)
    if option.type is float:
        widget = forms.NumberInput(attrs={"step": "any"})
        return forms.FloatField(widget=widget, **common, **limits)
    return forms.CharField(**common)


def _label(name: str) -> str:
    first, *rest = name.split("_")
    return " ".join([SPELLED.get(first, first.capitalize()), *rest])


class LaunchForm(forms.Form):
    """Built for a snapshot, a method and an adapter; choosing others builds it again."""

    client_key = forms.CharField(widget=forms.HiddenInput, max_length=64)
    name = forms.CharField(
        max_length=100, required=False, help_text="Helps you to find the run again."
    )

    def __init__(
        self,
        *args: Any,
        project: Project,
        snapshot: Snapshot,
        method: Method,
        adapter: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.method = method
        self.fields["client_key"].initial = uuid.uuid4().hex
        self.fields["criterion"] = self._criterion(snapshot)
        self._add_base_model(project)
        if method.data == "binary":
            self.fields["binary_from_pairs"] = forms.BooleanField(
                required=False,
                initial=not self._rows(snapshot, from_pairs=False),
                label="Also make binary data from pairs",
                help_text="Each chosen response counts as good, each rejected one as bad.",
            )
        for option in describe_options(method.hyperparameters):
            self.fields[METHOD_PREFIX + option.name] = option_field(option)
        for option in describe_options(TrainingConfig):
            if option.name not in ELSEWHERE and (adapter == "lora" or option.name not in LORA):
                self.fields[option.name] = option_field(option)
        if adapter == "lora":
            self.fields["learning_rate"].initial = LORA_LEARNING_RATE
        self.adapter = adapter

    def _rows(self, snapshot: Snapshot, *, from_pairs: bool) -> dict[str, Rows]:
        rows = rows_by_criterion(snapshot, self.method, binary_from_pairs=from_pairs)
        return {criterion: row for criterion, row in rows.items() if row.is_enough}

    def _criterion(self, snapshot: Snapshot) -> forms.Field:
        names = {one["key"]: one["name"] for one in snapshot.project.protocol.criteria}
        choices = [
            (key, f"{names.get(key, key)}: {row.train} to train on, {row.held_out} held out")
            for key, row in self._rows(snapshot, from_pairs=True).items()
        ]
        return forms.ChoiceField(
            choices=choices, help_text="The run learns what the judges preferred by this criterion."
        )

    def _add_base_model(self, project: Project) -> None:
        models = [
            (choice.name, f"{choice.title} ({choice.source.value})")
            for choice in available_models(project)
        ]
        self.fields["base_model"] = forms.ChoiceField(
            choices=models, help_text="Training starts from it, and it is the reference."
        )
        self.fields["device"] = forms.ChoiceField(
            choices=[(name, name) for name in settings.TRAINING_DEVICES],
            help_text="auto takes a GPU when the worker has one.",
        )

    @property
    def main_rows(self) -> list[forms.BoundField]:
        names = ("name", "criterion", "binary_from_pairs", "base_model", "device")
        return [self[name] for name in names if name in self.fields]

    @property
    def method_rows(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(METHOD_PREFIX)]

    @property
    def basic_rows(self) -> list[forms.BoundField]:
        return [self[name] for name in (*BASIC, *LORA) if name in self.fields]

    @property
    def advanced_rows(self) -> list[forms.BoundField]:
        shown = {row.name for row in (*self.main_rows, *self.method_rows, *self.basic_rows)}
        return [self[name] for name in self.fields if name not in shown | {"client_key"}]

    @property
    def advanced_has_errors(self) -> bool:
        return any(row.errors for row in self.advanced_rows)

    def run_config(self) -> dict[str, Any]:
        """What `queue_run` takes as its config."""
        given = self.cleaned_data
        ours = {"client_key", *(row.name for row in (*self.main_rows, *self.method_rows))}
        hyperparameters = {
            name.removeprefix(METHOD_PREFIX): value
            for name, value in given.items()
            if name.startswith(METHOD_PREFIX)
        }
        rest = {name: value for name, value in given.items() if name not in ours}
        return {
            **rest,
            "adapter": self.adapter,
            "device": given["device"],
            "hyperparameters": hyperparameters,
        }


class LaunchChoice(forms.Form):
    """What decides which other fields the launch form has."""

    snapshot = forms.ModelChoiceField(queryset=Snapshot.objects.none(), empty_label=None)
    method = forms.ChoiceField()
    adapter = forms.ChoiceField(
        choices=[("full", "All weights"), ("lora", "A LoRA adapter (less memory)")],
        label="Train",
        help_text="An adapter is merged into the model at the end, so the version is whole too.",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        snapshots = Snapshot.objects.filter(project=project, replaced_by=None)
        self.fields["snapshot"].queryset = snapshots  # type: ignore[attr-defined]
        self.fields["method"].choices = [(one.name, one.title) for one in methods()]  # type: ignore[attr-defined]
        self.fields["method"].help_text = "Only methods that the snapshot has data for can run."

    @staticmethod
    def completed(project: Project, data: Any) -> dict[str, str]:
        """The choices as given, with defaults for what is missing or does not fit the snapshot."""
        snapshots = Snapshot.objects.filter(project=project, replaced_by=None)
        number = str(data.get("snapshot", ""))
        snapshot = snapshots.filter(pk=number).first() if number.isdecimal() else None
        snapshot = snapshot or snapshots.first()
        if snapshot is None:
            return {}
        usable = [method.name for method in usable_methods(snapshot)]
        method = str(data.get("method", ""))
        adapter = str(data.get("adapter", ""))
        return {
            "snapshot": str(snapshot.pk),
            "method": method if method in usable else next(iter(usable), ""),
            "adapter": adapter if adapter in {"full", "lora"} else "full",
        }


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
    limit = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=100_000,
        label="At most",
        help_text="Prompts, chosen at random. Empty: all of them.",
    )
    max_new_tokens = forms.IntegerField(
        initial=256,
        min_value=1,
        max_value=4096,
        label="Longest answer",
        help_text="In tokens, about three quarters of a word each.",
    )
    temperature = forms.FloatField(
        initial=0.8,
        min_value=0.0,
        max_value=5.0,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text="0 takes the likeliest word each time; 1 follows the model's own probabilities.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["client_key"].initial = uuid.uuid4().hex
