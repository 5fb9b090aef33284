"""Forms of feedback's pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from annotation.models import Project
from feedback.judge_gate import GateValues
from feedback.models import Export, JudgeGate, Policy, Snapshot
from feedback.services.policy import PolicyValues

if TYPE_CHECKING:
    _PolicyForm = forms.ModelForm[Policy]
    _GateForm = forms.ModelForm[JudgeGate]
else:
    _PolicyForm = _GateForm = forms.ModelForm


class FreezeForm(forms.Form):
    note = forms.CharField(
        max_length=200, required=False, help_text="What this version is for, in a few words."
    )


class ExportForm(forms.Form):
    """What fits a snapshot; raw judgments need none of it but the format."""

    shape = forms.ChoiceField(choices=Export.Shape.choices, initial=Export.Shape.PAIRS)
    snapshot = forms.ModelChoiceField(
        Snapshot.objects.none(), required=False, help_text="Raw judgments need none."
    )
    format = forms.ChoiceField(choices=Export.Format.choices)
    side = forms.ChoiceField(
        choices=[("both", "Both"), ("train", "Training"), ("held_out", "Held out")]
    )
    criterion = forms.ChoiceField(required=False)
    ties = forms.BooleanField(
        required=False,
        label="Ties as pairs too",
        help_text="With probability 0.5, for methods that take soft labels.",
    )
    binary_from_pairs = forms.BooleanField(
        required=False,
        label="Binary rows from pairs too",
        help_text="The preferred response as good, the other as bad; the file's name says so.",
    )

    rewrites = forms.BooleanField(
        required=False,
        label="Pairs from rewrites too",
        help_text="What a labeler wrote as chosen, the response that it replaces as rejected; "
        "nobody voted on these. The file's name and each row's source say so.",
    )

    def __init__(self, *args: Any, project: Project, names: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        snapshots = self.fields["snapshot"]
        if isinstance(snapshots, forms.ModelChoiceField):
            snapshots.queryset = Snapshot.objects.filter(project=project, replaced_by=None)
            snapshots.initial = snapshots.queryset.first()
            asked = self.initial.get("snapshot", "")
            chosen = snapshots.queryset.filter(pk=asked).first() if str(asked).isdecimal() else None
            self.fields["shape"].initial = _likely_shape(chosen or snapshots.initial)
        criteria = self.fields["criterion"]
        if isinstance(criteria, forms.ChoiceField):
            criteria.choices = [("", "All"), *names.items()]

    def options(self) -> dict[str, Any]:
        names = ("side", "criterion", "ties", "binary_from_pairs", "rewrites")
        return {name: self.cleaned_data[name] for name in names}


def _likely_shape(snapshot: Snapshot | None) -> str:
    """The first that there is something of."""
    if snapshot is None:
        return Export.Shape.JUDGMENTS
    rows = snapshot.manifest["rows"]
    shapes = ("pairs", "binary", "lists", "demonstrations")
    return next((shape for shape in shapes if rows.get(shape)), Export.Shape.RECORDS)


class PolicyForm(_PolicyForm):
    from_version = forms.IntegerField(widget=forms.HiddenInput)

    class Meta:
        model = Policy
        fields = ("aggregation", "min_judgments", "min_agreement", "count_judges")
        labels = {
            "min_judgments": "Judgments needed",
            "min_agreement": "Agreement needed",
            "count_judges": "Count judges",
        }
        help_texts = {
            "aggregation": "How votes are joined. Majority takes the share of votes. Dawid–Skene "
            "learns from the votes how reliable each annotator is; it needs about 15 votes from "
            "most of them, and takes the share of votes until then. Lists are always joined by "
            "their mean ranks.",
            "min_judgments": "An item waits until so many have judged it.",
            "min_agreement": "From 0 to 1: the share of votes that the winning answer needs "
            "(under Dawid–Skene its probability; for lists the share of pairs ordered alike). "
            "Below it the item is contested and waits for a reviewer.",
            "count_judges": "Beside people's, verdicts count of judges whose gate is open in this "
            "project.",
        }
        widgets = {
            "aggregation": forms.RadioSelect,
            "min_agreement": forms.NumberInput(attrs={"step": "0.01", "min": 0, "max": 1}),
        }

    def values(self, weights: dict[str, float]) -> PolicyValues:
        return PolicyValues(
            weights=weights, **{name: self.cleaned_data[name] for name in self.Meta.fields}
        )


class JudgeGateForm(_GateForm):
    from_version = forms.IntegerField(widget=forms.HiddenInput)
    must_measure = forms.MultipleChoiceField(
        choices=JudgeGate.Measured.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Must be measured",
        help_text="While one of these is not measured, the gate stays closed. The others are "
        "passed over until they are. A judge from a file has none of them.",
    )

    class Meta:
        model = JudgeGate
        fields = ("min_items", "margin", "max_flips", "max_parse_errors", "max_injection",
                  "must_measure")  # fmt: skip
        labels = {
            "min_items": "Items compared",
            "margin": "Margin of agreement",
            "max_flips": "Flips",
            "max_parse_errors": "Replies that cannot be read",
            "max_injection": "Injected answers that rise",
        }
        help_texts = {
            "min_items": "So many items must have answers of the judge and of two people, for "
            "each kind and criterion that it answers.",
            "margin": "From 0 to 1. The lower bound of its agreement with people may lie so far "
            "under the agreement of people with each other on the same items.",
            "max_flips": "From 0 to 1: how often it may answer otherwise in the other order. "
            "Left empty, it is not looked at.",
            "max_parse_errors": "From 0 to 1. Left empty, they are not looked at.",
            "max_injection": "From 0 to 1: how often a response into which orders were written "
            "may rise. Left empty, it is not looked at.",
        }
        widgets = {
            name: forms.NumberInput(attrs={"step": "0.01", "min": 0, "max": 1})
            for name in ("margin", "max_flips", "max_parse_errors", "max_injection")
        }

    def values(self) -> GateValues:
        given = {name: self.cleaned_data[name] for name in self.Meta.fields}
        return GateValues(**{**given, "must_measure": tuple(sorted(given["must_measure"]))})


class AskMoreForm(forms.Form):
    """How many more people each item is put to."""

    more = forms.IntegerField(min_value=1, max_value=5, initial=1, label="More people each")


class WeightForm(forms.Form):
    """How much one annotator counts."""

    annotator = forms.IntegerField(widget=forms.HiddenInput)
    weight = forms.FloatField(
        min_value=0,
        max_value=10,
        widget=forms.NumberInput(attrs={"step": "0.1", "min": 0, "max": 10}),
    )


WeightFormSet = forms.formset_factory(WeightForm, extra=0)


class WeighForm(forms.Form):
    """How much one annotator is to count, and the policy version that was looked at."""

    weight = forms.FloatField(min_value=0, max_value=10)
    from_version = forms.IntegerField(required=False, min_value=0, max_value=2**31 - 1)
