"""The launch form, generated from the registry for a snapshot, a method and an adapter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from django import forms
from django.conf import settings

from annotation.models import Project
from core.errors import PrefloopError
from feedback.models import Snapshot
from training.alignment.config import TrainingConfig
from training.alignment.methods import Method
from training.alignment.options import Option, describe_options
from training.forms.key import new_key, offer_again
from training.forms.options import in_labels, option_field, untouched_data
from training.forms.rewards import REWARD_FIELDS, clean_rewards, reward_config, reward_fields
from training.forms.sweep import SWEEP_FIELDS, clean_grid, row_of, sweep_fields
from training.selectors.judge import judge_choices
from training.selectors.model import available_models, reward_models
from training.selectors.option import LORA, is_used, online_options
from training.selectors.training_data import Rows, rows_by_criterion
from training.selectors.verifier import offered_verifiers
from training.services.client_key import KeyUsed
from training.services.run import PATHS, defaults_of

METHOD_PREFIX = "method-"
# The fields that people set for each run; the others are folded.
BASIC = ("learning_rate", "epochs", "max_steps", "batch_size", "gradient_accumulation")
MAIN = (
    "name",
    "criterion",
    "binary_from_pairs",
    "rewrites",
    "base_model",
    "evaluated_by",
    "device",
)
DATA_SWITCHES = ("binary_from_pairs", "rewrites", "convert_data")
SHOWN_OF_METHOD = 6
# What is watched, kept, or computed in another way: none of it changes what is learned.
NEVER_VARIED = (
    *("checkpoint_every", "evaluate_every", "evaluation_limit"),
    *("sample_prompts", "sample_max_new_tokens", "step_sample_prompts"),
    *("pass_tokens", "gradient_checkpointing"),
)
# Answered by fields of their own, or by nobody outside the worker.
ELSEWHERE = (*PATHS, "method", "hyperparameters", "adapter", "device")


class LaunchForm(forms.Form):
    """Choosing another snapshot, method or adapter builds it again."""

    client_key = forms.CharField(widget=forms.HiddenInput, max_length=64)
    # For which method and adapter: its untouched defaults give way to those of another.
    built_for = forms.CharField(widget=forms.HiddenInput, max_length=80, required=False)
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
        self.project, self.snapshot = project, snapshot
        self.method, self.adapter = method, adapter
        self.grid: dict[str, list[Any]] = {}
        self.fields["client_key"].initial = new_key()
        self.fields["built_for"].initial = built_for(method, adapter)
        self.initial.pop("built_for", None)
        self.fields["criterion"] = self._criterion(snapshot)
        self._add_data_options(snapshot)
        self._add_base_model(project)
        self._add_rewards(project)
        self._add_method_options()
        self._add_options()
        self.fields |= sweep_fields(self._can_vary())

    def _add_data_options(self, snapshot: Snapshot) -> None:
        if self.method.data == "binary":
            self.fields["binary_from_pairs"] = forms.BooleanField(
                required=False,
                initial=not self._rows(snapshot, switched=False),
                label="Also make binary data from pairs",
                help_text="Each chosen response counts as good, each rejected one as bad.",
            )
        if self.method.data == "pairs" and snapshot.manifest["rows"].get("demonstrations"):
            self.fields["rewrites"] = forms.BooleanField(
                required=False,
                initial=not self._rows(snapshot, switched=False),
                label="Also pair what people rewrote",
                help_text="A rewrite counts as chosen, the response it replaces as rejected.",
            )

    def _rows(self, snapshot: Snapshot, *, switched: bool) -> dict[str, Rows]:
        """With the switches at launch on, or off."""
        rows = rows_by_criterion(
            snapshot,
            self.method,
            binary_from_pairs=switched,
            convert=switched,
            rewrites=switched,
        )
        return {criterion: row for criterion, row in rows.items() if row.is_enough}

    def _criterion(self, snapshot: Snapshot) -> forms.Field:
        names = {one["key"]: one["name"] for one in snapshot.project.protocol.criteria}
        noun, words = "", "The run learns what the judges preferred by this criterion."
        if self.method.data == "prompts":
            noun, words = (
                " prompts",
                "Whose prompts the policy answers. It learns from the rewards.",
            )
        choices = [
            (key, f"{names.get(key, key)}: {row.train}{noun} to train on, {row.held_out} held out")
            for key, row in self._rows(snapshot, switched=True).items()
        ]
        return forms.ChoiceField(choices=choices, help_text=words)

    def _add_base_model(self, project: Project) -> None:
        models = [
            (choice.name, f"{choice.title} ({choice.source.value})")
            for choice in available_models(project)
        ]
        also = ", and it is the reference" if self.method.needs_reference else ""
        self.fields["base_model"] = forms.ChoiceField(
            choices=models, help_text=f"Training starts from it{also}."
        )
        self.fields["device"] = forms.ChoiceField(
            choices=[(name, name) for name in settings.TRAINING_DEVICES],
            help_text="auto takes a GPU when the worker has one.",
        )

    def _add_rewards(self, project: Project) -> None:
        """What an online method is rewarded by, and what compares answers before and after."""
        if self.method.trains == "reward":
            return
        models = [(one.name, one.title) for one in reward_models(project)]
        if self.method.needs_rewards:
            self.fields |= reward_fields(models, judge_choices(project), offered_verifiers())
            if self.initial.get("verifier"):
                # It may be alone: a reward model that was not chosen must not come back.
                self.initial.setdefault("reward_model", "")
        if models:
            self.fields["evaluated_by"] = forms.ChoiceField(
                choices=[("", "None"), *models],
                required=False,
                label="Reward model of the evaluation",
                help_text="Compares answers before and after: how often the new one scores higher.",
            )

    def _add_method_options(self) -> None:
        for option in describe_options(self.method.hyperparameters):
            self.fields[METHOD_PREFIX + option.name] = option_field(option)

    def _add_options(self) -> None:
        defaults = defaults_of(self.method, self.adapter)
        for option in describe_options(TrainingConfig):
            used = has_field(option) and is_used(option, self.method, self.adapter)
            if option.name in ELSEWHERE or not used:
                continue
            self.fields[option.name] = option_field(option)
            if option.name in defaults:
                self.fields[option.name].initial = defaults[option.name]
        if "convert_data" in self.fields:
            self.fields["convert_data"].initial = not self._rows(self.snapshot, switched=False)

    def _can_vary(self) -> list[str]:
        """Hyper-parameters first."""
        own = [name.removeprefix(METHOD_PREFIX) for name in self._method_names]
        known = [one.name for one in describe_options(TrainingConfig)]
        left_out = (*MAIN, *NEVER_VARIED)
        return own + [name for name in known if name in self.fields and name not in left_out]

    def _place_of(self, option: str) -> str:
        own = METHOD_PREFIX + option
        return own if own in self.fields else option

    def keep_unticked(self, kept: Mapping[str, Any]) -> None:
        """A box that was unticked before the form was built again is not sent. The switches of the
        data are on only where a snapshot needs them, so they follow the snapshot."""
        for name, field in self.fields.items():
            is_box = isinstance(field, forms.BooleanField) and name not in DATA_SWITCHES
            if is_box and name not in kept:
                self.initial[name] = False

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if self.method.needs_rewards:
            clean_rewards(self, given)
        self.grid = clean_grid(self, given, self._place_of)
        return given

    def _shown(self, *names: str) -> list[forms.BoundField]:
        return [self[name] for name in names if name in self.fields]

    @property
    def main_rows(self) -> list[forms.BoundField]:
        return self._shown(*MAIN)

    @property
    def _method_names(self) -> list[str]:
        return [name for name in self.fields if name.startswith(METHOD_PREFIX)]

    @property
    def method_rows(self) -> list[forms.BoundField]:
        return self._shown(*self._method_names[:SHOWN_OF_METHOD])

    @property
    def online_rows(self) -> list[forms.BoundField]:
        names = (*REWARD_FIELDS, *online_options())
        return self._shown(*names) if self.method.loop == "online" else []

    @property
    def basic_rows(self) -> list[forms.BoundField]:
        return self._shown(*BASIC, *LORA)

    @property
    def sweep_rows(self) -> list[forms.BoundField]:
        return self._shown(*SWEEP_FIELDS)

    @property
    def sweep_is_open(self) -> bool:
        return any(row.value() for row in self.sweep_rows)

    @property
    def advanced_rows(self) -> list[forms.BoundField]:
        above = (*self.main_rows, *self.method_rows, *self.basic_rows, *self.online_rows)
        shown = {row.name for row in above} | {"client_key", "built_for", *SWEEP_FIELDS}
        return [self[name] for name in self.fields if name not in shown]

    @property
    def advanced_has_errors(self) -> bool:
        return any(row.errors for row in self.advanced_rows)

    def filled(self) -> Self:
        """Validated, as it stands; an untouched form as a browser would send it."""
        form = self
        if not self.is_bound:
            form = type(self)(
                untouched_data(self), project=self.project, snapshot=self.snapshot,
                method=self.method, adapter=self.adapter,
            )  # fmt: skip
        # Not full_clean, which would forget what a service has refused.
        form.is_valid()
        return form

    def refuse(self, error: PrefloopError) -> None:
        """Puts what a service did not take beside the field that it is about."""
        if isinstance(error, KeyUsed):
            offer_again(self, error)
            return
        for name, words in error.fields.items():
            # What varies is not what its own field says.
            for field in (row_of(self.cleaned_data, name), name, METHOD_PREFIX + name):
                if field in self.fields:
                    self.add_error(field, in_labels(f"{words}."))
                    return
        self.add_error(None, in_labels(error.message))

    def run_config(self) -> dict[str, Any]:
        """What `queue_run` takes as its config; of an invalid form, what is valid of it."""
        given = self.cleaned_data
        ours = {"client_key", "built_for", *MAIN, *REWARD_FIELDS, *SWEEP_FIELDS}
        hyperparameters = {
            name.removeprefix(METHOD_PREFIX): value
            for name, value in given.items()
            if name.startswith(METHOD_PREFIX)
        }
        rest = {
            name: value
            for name, value in given.items()
            if name not in ours and not name.startswith(METHOD_PREFIX)
        }
        device = {"device": given["device"]} if "device" in given else {}
        rewards = reward_config(given) if self.method.needs_rewards else {}
        return {
            **rest, **device, **rewards,
            "adapter": self.adapter, "hyperparameters": hyperparameters,
        }  # fmt: skip


def built_for(method: Method, adapter: str) -> str:
    return f"{method.name}:{adapter}"


def untouched_values(method: Method | None, adapter: str) -> dict[str, str]:
    """What a form for this method and adapter says where nobody has typed."""
    values = {one.name: one.default for one in describe_options(TrainingConfig)}
    values |= defaults_of(method, adapter) if method else {}
    return {name: str(value) for name, value in values.items()}


def has_field(option: Option) -> bool:
    return option.type is not Mapping and option.name != "test_reward"
