"""The form of RLHF in three stages: what all share, and a few numbers of each."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.conf import settings

from annotation.models import Project
from core.errors import PrefloopError
from feedback.models import Snapshot
from training.alignment.methods import methods
from training.forms.choice import ADAPTERS, snapshots_of
from training.selectors.model import available_models

STAGES = {"sft": "Demonstrations (SFT)", "reward": "Reward model", "policy": "Policy"}


class RecipeForm(forms.Form):
    client_key = forms.CharField(widget=forms.HiddenInput, max_length=60)
    name = forms.CharField(max_length=100, required=False, initial="RLHF in three stages")
    snapshot = forms.ModelChoiceField(queryset=Snapshot.objects.none(), empty_label=None)
    criterion = forms.ChoiceField(help_text="The reward model learns what was preferred by it.")
    base_model = forms.ChoiceField(help_text="The first stage starts from it.")
    policy_method = forms.ChoiceField(
        label="Method of the third stage", help_text="PPO is the recipe's; the others need less."
    )
    adapter = forms.ChoiceField(choices=ADAPTERS, label="Train")
    device = forms.ChoiceField()

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["client_key"].initial = uuid.uuid4().hex
        choices = {
            "criterion": [(one["key"], one["name"]) for one in project.protocol.criteria],
            "base_model": [(one.name, one.title) for one in available_models(project)],
            "policy_method": [(one.name, one.title) for one in methods() if one.loop == "online"],
            "device": [(name, name) for name in settings.TRAINING_DEVICES],
        }
        for name, of in choices.items():
            self.fields[name].choices = of  # type: ignore[attr-defined]
        self.fields["policy_method"].initial = "ppo"
        self.fields["snapshot"].queryset = snapshots_of(project)  # type: ignore[attr-defined]
        for stage in STAGES:
            self._add_stage(stage)

    def _add_stage(self, stage: str) -> None:
        number = forms.NumberInput(attrs={"step": "any"})
        self.fields[f"{stage}-learning_rate"] = forms.FloatField(
            label="Learning rate", required=False, min_value=0.0, max_value=1.0, widget=number,
            help_text="Left empty: the method's own.",
        )  # fmt: skip
        self.fields[f"{stage}-epochs"] = forms.FloatField(
            label="Epochs", initial=1.0, min_value=1e-3, max_value=1000.0, widget=number
        )
        self.fields[f"{stage}-max_steps"] = forms.IntegerField(
            label="Max steps", required=False, min_value=1
        )
        self.fields[f"{stage}-batch_size"] = forms.IntegerField(
            label="Batch size", initial=4, min_value=1, max_value=65536
        )

    @property
    def shared_rows(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if "-" not in name and name != "client_key"]

    @property
    def stage_rows(self) -> list[tuple[str, list[forms.BoundField]]]:
        return [
            (title, [self[name] for name in self.fields if name.startswith(f"{stage}-")])
            for stage, title in STAGES.items()
        ]

    def refuse(self, error: PrefloopError) -> None:
        """Puts what a service did not take beside the field that it is about."""
        field = next((name for name in error.fields if name in self.fields), None)
        self.add_error(field, error.message)

    def stage_configs(self) -> dict[str, dict[str, Any]]:
        """The config of each stage, as `rlhf_stages` takes it."""
        shared = {name: self.cleaned_data[name] for name in ("adapter", "device")}
        return {
            stage: shared
            | {
                name.removeprefix(f"{stage}-"): value
                for name, value in self.cleaned_data.items()
                if name.startswith(f"{stage}-") and value is not None
            }
            for stage in STAGES
        }
