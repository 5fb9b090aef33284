"""The forms of judges: what one is, its settings, one's own template, and a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from annotation.judging.settings import (
    MOST_TEXT,
    JudgeSettings,
    SettingField,
    describe_settings,
)
from annotation.models import JudgeRun, ProjectJudge
from annotation.selectors.judge_choice import Choice

SETTING_PREFIX = "setting-"
# What people set for each judge; the others are folded.
BASIC = (
    "both_orders",
    "samples",
    "temperature",
    "reasoning",
    "max_tokens",
    "soft_labels",
    "use_reference",
)
LABELS = {
    "both_orders": "Ask in both orders",
    "samples": "Samples of each order",
    "reasoning": "Let it reason first",
    "max_tokens": "Longest reply, in tokens",
    "soft_labels": "Soft labels",
    "use_reference": "Show the reference answer",
    "tie_band": "How near to one half is a tie",
    "threshold": "Score above which a single response is good",
}
SOFT_LABEL_WORDS = {
    "none": "None: only the answer itself",
    "logprobs": "From log-probabilities of the label",
    "samples": "From how often each answer was given",
}
ROWS = 4
MOST_ITEMS = 10_000_000


class JudgeChoice(forms.Form):
    """What the rest of the form depends on; a change of it builds the form again."""

    model = forms.ChoiceField(help_text="Judges are bound to a model as its provider serves it.")
    protocol = forms.ChoiceField(
        widget=forms.RadioSelect, help_text="Those that this model can do, for this project."
    )
    kind = forms.ChoiceField(
        label="Items", help_text="A judge answers items of one kind, by one text."
    )
    template = forms.ChoiceField(label="Your template")

    def __init__(self, *args: Any, choice: Choice, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.use_required_attribute = False
        self._offer("model", [(str(one.pk), str(one)) for one in choice.models])
        self._offer("protocol", [(one.key, one.title) for one in choice.offered])
        self._offer("kind", [(kind, kind.capitalize()) for kind in choice.kinds])
        self._offer("template", [(str(one.pk), str(one)) for one in choice.templates])
        if len(choice.kinds) < 2:
            self.fields["kind"].widget = forms.HiddenInput()
        if not choice.is_own:
            del self.fields["template"]

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]


class JudgeForm(forms.Form):
    """The name, and a field for each setting of `annotation.judging`."""

    # For which choice it was built: untouched defaults of another give way.
    built_for = forms.CharField(widget=forms.HiddenInput, required=False, max_length=400)
    name = forms.CharField(
        max_length=100,
        help_text="The same name with other settings is the next version of that judge.",
    )

    def __init__(self, *args: Any, choice: Choice, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.use_required_attribute = False
        self.fields["built_for"].initial = f"{choice.key}|{choice.suggested_name}"
        self.initial.pop("built_for", None)
        self.fields["name"].initial = choice.suggested_name
        others = self._others(choice)
        for setting in describe_settings():
            if choice.uses(setting.name, **others):
                field = _setting_field(setting, choice)
                self.fields[SETTING_PREFIX + setting.name] = field

    def _others(self, choice: Choice) -> dict[str, Any]:
        """As they stand: some settings mean nothing with them."""
        soft, reasons = (SETTING_PREFIX + one for one in ("soft_labels", "reasoning"))
        default = choice.defaults
        if self.is_bound:
            # A box that is not ticked is not sent.
            return {
                "soft_labels": self.data.get(soft, default["soft_labels"]),
                "reasons": reasons in self.data,
            }
        return {
            "soft_labels": self.initial.get(soft, default["soft_labels"]),
            "reasons": bool(self.initial.get(reasons, default["reasoning"])),
        }

    @property
    def basic_rows(self) -> list[forms.BoundField]:
        return [self[name] for name in self._settings() if name[len(SETTING_PREFIX) :] in BASIC]

    @property
    def advanced_rows(self) -> list[forms.BoundField]:
        return [self[name] for name in self._settings() if name[len(SETTING_PREFIX) :] not in BASIC]

    @property
    def advanced_has_errors(self) -> bool:
        return any(field.errors for field in self.advanced_rows)

    def _settings(self) -> list[str]:
        return [name for name in self.fields if name.startswith(SETTING_PREFIX)]

    def refuse(self, why: str) -> None:
        """`why` begins with the setting's name, as the errors of `annotation.judging` do."""
        name = SETTING_PREFIX + why.partition(":")[0]
        self.add_error(name if name in self.fields else None, why)

    def settings(self) -> dict[str, Any]:
        """After validation; what is not shown has its default."""
        return {
            name.removeprefix(SETTING_PREFIX): value
            for name, value in self.cleaned_data.items()
            if name.startswith(SETTING_PREFIX) and (value is not None or name.endswith("threshold"))
        }

    def so_far(self, choice: Choice) -> JudgeSettings:
        """What is valid of it; for the rest, the protocol's defaults."""
        self.is_valid()
        given = {
            name.removeprefix(SETTING_PREFIX): value
            for name, value in getattr(self, "cleaned_data", {}).items()
            if name.startswith(SETTING_PREFIX) and value not in (None, "")
        }
        return JudgeSettings.from_dict(choice.defaults | given)


def _setting_field(setting: SettingField, choice: Choice) -> forms.Field:
    given: dict[str, Any] = {
        "label": LABELS.get(setting.name, setting.name.replace("_", " ").capitalize()),
        "help_text": setting.help,
        "initial": choice.defaults.get(setting.name, setting.default),
        "required": False,
    }
    bounds: dict[str, Any] = {"min_value": setting.min, "max_value": setting.max}
    if setting.choices is not None:
        words = [(name, SOFT_LABEL_WORDS.get(name, name)) for name in choice.soft_labels]
        return forms.ChoiceField(choices=words, **given)
    if setting.type is bool:
        return forms.BooleanField(**given)
    if setting.type is int:
        return forms.IntegerField(**given, **_whole(bounds))
    if setting.type is float:
        widget = forms.NumberInput(attrs={"step": "any"})
        return forms.FloatField(widget=widget, **given, **bounds)
    return forms.CharField(
        widget=forms.Textarea(attrs={"rows": ROWS}), max_length=MOST_TEXT, **given
    )


def _whole(bounds: Mapping[str, float | None]) -> dict[str, Any]:
    return {name: None if value is None else int(value) for name, value in bounds.items()}


class TakesForm(forms.Form):
    takes = forms.ChoiceField(
        label="Which items it takes",
        choices=ProjectJudge.Takes.choices,
        widget=forms.RadioSelect,
        help_text="Runs begin with this choice; with “None” the judge makes no judgments here.",
    )
    by_itself = forms.BooleanField(
        label="Start runs by itself",
        required=False,
        help_text="Over new items of this choice, looked for every ten minutes, one run at a time "
        "and within the project's budget for judges. After a run that stopped, somebody has to "
        "resume it or start the next.",
    )


def _cap(**given: Any) -> forms.DecimalField:
    return forms.DecimalField(
        label="Cap, in dollars",
        min_value=0,
        max_value=999_999,
        max_digits=12,
        decimal_places=6,
        widget=forms.NumberInput(attrs={"step": "any", "min": "0"}),
        **given,
    )


class ResumeForm(forms.Form):
    """Left out, the cap stays."""

    cap = _cap(required=False)


class RunForm(forms.Form):
    """What to ask about, and the most that it may cost."""

    purpose = forms.ChoiceField(
        label="What for",
        widget=forms.RadioSelect,
        choices=[
            (JudgeRun.Purpose.JUDGE, "Judge items: its answers are stored beside people's"),
            (JudgeRun.Purpose.REPEAT, "Ask again about judged items: does it repeat itself?"),
            (JudgeRun.Purpose.CANARY, "Try to talk it over: answers that hold instructions to it"),
        ],
        help_text="The last two measure the judge and make no judgments.",
    )
    takes = forms.ChoiceField(
        label="Which items",
        choices=[choice for choice in ProjectJudge.Takes.choices if choice[0] != "none"],
        help_text="Never hidden gold and never equal texts. Runs that measure the judge draw from "
        "the items that it has judged, whatever is chosen here.",
    )
    limit = forms.IntegerField(
        label="How many at most",
        required=False,
        min_value=1,
        max_value=MOST_ITEMS,
        help_text="Left empty: all of them.",
    )
    again = forms.BooleanField(
        label="Only those that failed, could not be read, or were judged by older guidelines",
        required=False,
        help_text="Otherwise those that it was not asked about yet.",
    )
    unpriced = forms.BooleanField(
        label="Run it even if no price is known",
        required=False,
        help_text="Then nothing is booked and no cap holds, so a limit of items must be given.",
    )
    cap = _cap(
        help_text="What is spent, and what calls that are out may still cost, never passes it. The "
        "run stops there, and goes on when it is resumed under a larger one."
    )

    @staticmethod
    def first(takes: str) -> dict[str, Any]:
        known = takes and takes != ProjectJudge.Takes.NONE
        chosen = takes if known else ProjectJudge.Takes.UNLABELED
        return {"purpose": JudgeRun.Purpose.JUDGE, "takes": chosen}

    def asked(self) -> dict[str, Any]:
        """After validation: `selection` and `purpose` for the services."""
        return _asked(self.cleaned_data)

    def so_far(self) -> dict[str, Any]:
        if not self.is_bound:
            names = ("purpose", "takes", "limit", "again", "unpriced")
            return _asked({one: self.get_initial_for_field(self.fields[one], one) for one in names})
        self.is_valid()
        return _asked(self.cleaned_data)


MEASURES = (JudgeRun.Purpose.REPEAT, JudgeRun.Purpose.CANARY)


def _asked(given: Mapping[str, Any]) -> dict[str, Any]:
    purpose, takes = given.get("purpose"), given.get("takes")
    measures = purpose in MEASURES
    known = takes in ProjectJudge.Takes.values and not measures
    selection: dict[str, Any] = {"takes": takes if known else ProjectJudge.Takes.ALL}
    limit = str(given.get("limit") or "")
    if limit.isdecimal() and 0 < int(limit) <= MOST_ITEMS:
        selection["limit"] = int(limit)
    if given.get("again") and not measures:
        selection["again"] = True
    if given.get("unpriced"):
        selection["unpriced"] = True
    return {"selection": selection, "purpose": purpose if measures else JudgeRun.Purpose.JUDGE}
