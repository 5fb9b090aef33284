"""The form of RLHF in three stages: what all share, and what each stage's run may set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from django import forms
from django.conf import settings

from annotation.models import Project
from core.errors import PrefloopError
from feedback.models import Snapshot
from training.alignment.config import TrainingConfig
from training.alignment.methods import Method, get_method, methods
from training.alignment.options import describe_options
from training.forms.choice import ADAPTERS, SNAPSHOT_HELP, snapshots_of
from training.forms.key import new_key, offer_again
from training.forms.launch import BASIC, ELSEWHERE, METHOD_PREFIX, has_field, untouched_values
from training.forms.options import in_labels, label_of, option_field, untouched_data
from training.forms.rewards import reward_config, reward_fields
from training.selectors.judge import judge_choices
from training.selectors.model import available_models, reward_models
from training.selectors.option import LORA, is_online, is_used
from training.selectors.verifier import offered_verifiers
from training.services.client_key import KeyUsed

STAGES = {"sft": "Demonstrations (SFT)", "reward": "Reward model", "policy": "Policy"}
CHOICE = ("snapshot", "policy_method", "adapter")
NOT_KEPT = ("client_key", "built_for", "policy_method", "adapter")
MAIN = ("name", "criterion", "base_model", "device")
# One answer is right for all stages.
SHARED = (
    "max_length", "max_prompt_length", "truncation_side", "dtype", "gradient_checkpointing", "seed",
)  # fmt: skip
SCHEDULE = ("schedule", "warmup_steps", "evaluate_every")
# The trained reward is what the second stage makes.
REWARDS = (
    *("verifier", "verifier_weight", "watched_model", "judge_cap"),
    *("length_penalty", "length_limit"),
)


@dataclass(frozen=True)
class StageRows:
    """A stage of the page: rows that are shown, those of rollouts and rewards, and folded ones."""

    title: str
    method: Method
    basic: list[forms.BoundField]
    online: list[forms.BoundField]
    folded: list[forms.BoundField]

    @property
    def folded_has_errors(self) -> bool:
        return any(row.errors for row in self.folded)


class RecipeForm(forms.Form):
    """Choosing another method or adapter builds it again."""

    client_key = forms.CharField(widget=forms.HiddenInput, max_length=60)
    built_for = forms.CharField(widget=forms.HiddenInput, max_length=40, required=False)
    name = forms.CharField(max_length=100, required=False, initial="RLHF in three stages")
    snapshot = forms.ModelChoiceField(
        queryset=Snapshot.objects.none(), empty_label=None, help_text=SNAPSHOT_HELP
    )
    criterion = forms.ChoiceField(help_text="The reward model learns what was preferred by it.")
    base_model = forms.ChoiceField(help_text="The first stage starts from it.")
    policy_method = forms.ChoiceField(
        label="Method of the third stage", help_text="PPO is the recipe's; the others need less."
    )
    adapter = forms.ChoiceField(choices=ADAPTERS, label="Train")
    device = forms.ChoiceField()

    def __init__(self, *args: Any, project: Project, choice: Mapping[str, str], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.project, self.choice = project, choice
        self.methods = {
            "sft": get_method("sft"),
            "reward": get_method("reward_bradley_terry"),
            "policy": get_method(choice["policy_method"]),
        }
        self.initial.update(choice, built_for=choice["policy_method"])
        self.fields["client_key"].initial = new_key()
        self._fill_choices()
        self._add_options("", (*SHARED, *LORA), self.methods["sft"])
        for stage, method in self.methods.items():
            self._add_stage(stage, method)
        self._add_rewards()

    def _fill_choices(self) -> None:
        choices = {
            "criterion": [(one["key"], one["name"]) for one in self.project.protocol.criteria],
            "base_model": [(one.name, one.title) for one in available_models(self.project)],
            "policy_method": [(one.name, one.title) for one in online_methods()],
            "device": [(name, name) for name in settings.TRAINING_DEVICES],
        }
        for name, of in choices.items():
            self.fields[name].choices = of  # type: ignore[attr-defined]
        self.fields["snapshot"].queryset = snapshots_of(self.project)  # type: ignore[attr-defined]

    def _add_stage(self, stage: str, method: Method) -> None:
        self._add_options(f"{stage}-", (*BASIC, *SCHEDULE), method)
        rate = self.fields[f"{stage}-learning_rate"]
        rate.required, rate.initial = False, None
        rate.help_text = "Left empty: the method's own."
        for option in describe_options(method.hyperparameters):
            self.fields[f"{stage}-{METHOD_PREFIX}{option.name}"] = option_field(option)
        if method.loop == "online":
            online = [one.name for one in describe_options(TrainingConfig) if is_online(one)]
            self._add_options(f"{stage}-", online, method)

    def _add_options(self, prefix: str, names: Any, method: Method) -> None:
        for option in describe_options(TrainingConfig):
            used = has_field(option) and is_used(option, method, self.choice["adapter"])
            if option.name in names and option.name not in ELSEWHERE and used:
                field = self.fields[f"{prefix}{option.name}"] = option_field(option)
                field.initial = method.defaults.get(option.name, field.initial)

    def _add_rewards(self) -> None:
        models = [(one.name, one.title) for one in reward_models(self.project)]
        made = reward_fields(models, judge_choices(self.project), offered_verifiers())
        for name in REWARDS:
            if name in made:
                field = self.fields[f"policy-{name}"] = made[name]
                field.label = field.label or label_of(name)

    def keep(self, kept: Mapping[str, Any]) -> None:
        """What was typed before another method or adapter was chosen; a box that was unticked is
        not sent."""
        before = kept.get("built_for")
        former = next((one for one in online_methods() if one.name == before), None)
        for name, field in self.fields.items():
            if name in NOT_KEPT or self._gives_way(name, kept.get(name), former):
                continue
            if isinstance(field, forms.BooleanField) and former:
                self.initial[name] = name in kept
            elif kept.get(name):
                self.initial[name] = kept[name]

    def _gives_way(self, name: str, value: Any, former: Method | None) -> bool:
        """Whether the value is about the policy method that was chosen before: its own settings,
        and its defaults that nobody touched."""
        plain = name.removeprefix("policy-")
        if plain == name or former == self.methods["policy"]:
            return False
        untouched = untouched_values(former, self.choice["adapter"])
        return plain.startswith(METHOD_PREFIX) or value == untouched.get(plain)

    @property
    def choice_rows(self) -> list[forms.BoundField]:
        return [self[name] for name in CHOICE]

    @property
    def main_rows(self) -> list[forms.BoundField]:
        return [self[name] for name in MAIN]

    @property
    def shared_rows(self) -> list[forms.BoundField]:
        return [self[name] for name in (*SHARED, *LORA) if name in self.fields]

    @property
    def shared_has_errors(self) -> bool:
        return any(row.errors for row in self.shared_rows)

    @property
    def stage_rows(self) -> list[StageRows]:
        return [self._rows_of(stage, title) for stage, title in STAGES.items()]

    def _rows_of(self, stage: str, title: str) -> StageRows:
        names = [name for name in self.fields if name.startswith(f"{stage}-")]
        plain = {name: name.removeprefix(f"{stage}-") for name in names}
        basic = [name for name in names if plain[name] in BASIC]
        own = [name for name in names if plain[name].startswith(METHOD_PREFIX)]
        timed = [name for name in names if plain[name] in SCHEDULE]
        known = {*basic, *own, *timed}
        online = [name for name in names if name not in known]
        # Rewards first, as where one run is launched.
        online.sort(key=lambda name: plain[name] not in REWARDS)
        fields = ([self[name] for name in part] for part in (basic, online, [*own, *timed]))
        return StageRows(title, self.methods[stage], *fields)

    def filled(self) -> Self:
        """Validated, as it stands; an untouched form as a browser would send it."""
        form = self
        if not self.is_bound:
            form = type(self)(untouched_data(self), project=self.project, choice=self.choice)
        # Not full_clean, which would forget what a service has refused.
        form.is_valid()
        return form

    def refuse(self, error: PrefloopError) -> None:
        """Puts what a service did not take beside the field that it is about."""
        if isinstance(error, KeyUsed):
            offer_again(self, error, again="Start it again")
            return
        prefixes = ("", *(f"{stage}-{part}" for stage in reversed(STAGES)
                          for part in ("", METHOD_PREFIX)))  # fmt: skip
        for name, words in error.fields.items():
            for field in (f"{prefix}{name}" for prefix in prefixes):
                if field in self.fields:
                    self.add_error(field, in_labels(f"{words}."))
                    return
        self.add_error(None, in_labels(error.message))

    def stage_configs(self) -> dict[str, dict[str, Any]]:
        """As `rlhf_stages` takes them; of an invalid form, what is valid of it."""
        given = self.cleaned_data
        names = (*SHARED, *LORA, "adapter", "device")
        shared = {name: given[name] for name in names if name in given}
        return {stage: shared | self._config_of(stage) for stage in STAGES}

    def _config_of(self, stage: str) -> dict[str, Any]:
        values = {
            name.removeprefix(f"{stage}-"): value
            for name, value in self.cleaned_data.items()
            if name.startswith(f"{stage}-") and value is not None
        }
        hyperparameters = {
            name.removeprefix(METHOD_PREFIX): values.pop(name)
            for name in list(values)
            if name.startswith(METHOD_PREFIX)
        }
        rewards = {name: values.pop(name) for name in REWARDS if name in values}
        made = reward_config(rewards) if stage == "policy" else {}
        return {**values, **made, "hyperparameters": hyperparameters}


def recipe_choice(data: Mapping[str, Any]) -> dict[str, str]:
    """What decides which fields there are, as given where it is offered."""
    method, adapter = str(data.get("policy_method", "")), str(data.get("adapter", ""))
    names = [one.name for one in online_methods()]
    return {
        "policy_method": method if method in names else "ppo",
        "adapter": adapter if adapter in dict(ADAPTERS) else "full",
    }


def online_methods() -> list[Method]:
    return [one for one in methods() if one.loop == "online"]
