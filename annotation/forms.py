"""The forms of a project's pages. What they mean is checked by the services."""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms import BaseFormSet, formset_factory

from annotation.importers import FORMATS
from annotation.models import Kind, Membership, Project, Protocol
from annotation.services.invitation import DAYS, MOST_USES
from annotation.services.project import LONGEST_ASKED, MOST_CRITERIA
from core.errors import PrefloopError
from core.models import User


def show_error(form: forms.BaseForm, error: PrefloopError) -> None:
    """At the field that the service names, else above the form."""
    field = error.fields.get("field")
    form.add_error(field if field in form.fields else None, error.message)


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Project
        fields: tuple[str, ...] = (
            "name", "description", "overlap", "lease_seconds", "skip_limit", "daily_target",
            "gold_share", "probe_share", "shows_gold_agreement", "judge_budget",
        )  # fmt: skip
        widgets = {"description": forms.Textarea(attrs={"rows": 2})}
        labels = {
            "lease_seconds": "Seconds an item waits",
            "overlap": "People for each item",
            "daily_target": "Answers a day",
            "gold_share": "Gold items, of 100",
            "probe_share": "Own old items again, of 100",
            "shows_gold_agreement": "Labelers see how often they agree with gold",
            "judge_budget": "Budget of judges, in dollars",
        }
        help_texts = {
            "description": "One or two sentences; labelers read them on their start page.",
            "overlap": "How many people judge each item that is made from now on.",
            "daily_target": "Shown to labelers as what is asked of them; nobody is stopped by it.",
            "gold_share": "Items with a known answer, hidden in the stream: they tell how well "
            "each person judges. 0: none.",
            "probe_share": "Items that the person judged before, with the sides swapped: they tell "
            "whether each person agrees with themselves. 0: none.",
            "shows_gold_agreement": "On their own page, as a share; never which items are gold.",
            "judge_budget": "What runs of judges have spent and may still spend together. Left "
            "empty: no limit for managers, and caps of at most $10 a run for researchers.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("gold_share", "probe_share"):
            if name in self.fields:
                self.fields[name].required = False

    def clean_gold_share(self) -> int:
        return self.cleaned_data["gold_share"] or 0

    def clean_probe_share(self) -> int:
        return self.cleaned_data["probe_share"] or 0


class NewProjectForm(SettingsForm):
    class Meta(SettingsForm.Meta):
        fields = ("name", "description", "overlap")


class ProtocolForm(forms.Form):
    kinds = forms.MultipleChoiceField(
        label="What people do",
        choices=[
            (Kind.PAIRWISE, "Choose the better of two responses (pairwise)"),
            (Kind.LISTWISE, "Put several responses in order (listwise)"),
            (Kind.THUMBS, "Say of one response whether it is good (thumbs)"),
        ],
        widget=forms.CheckboxSelectMultiple,
        initial=[Kind.PAIRWISE],
        error_messages={"required": "Choose at least one."},
    )
    pairwise_scale = forms.ChoiceField(
        required=False,
        label="How two responses are compared",
        choices=Protocol.Scale.choices,
        widget=forms.RadioSelect,
        initial=Protocol.Scale.STRENGTH,
    )
    reasons = forms.CharField(
        required=False,
        label="Reasons to offer",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One a line; labelers may tick them beside their answer.",
    )
    thumbs_reasons = forms.CharField(
        required=False,
        label="Reasons for one response alone",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One a line. Left empty: the same as above.",
    )
    comment_min_length = forms.IntegerField(
        required=False,
        label="Characters of comment that are asked for",
        min_value=0,
        max_value=LONGEST_ASKED,
        initial=0,
        help_text="0: a comment is optional.",
    )
    allows_rewrite = forms.BooleanField(
        required=False,
        initial=True,
        label="Who judges one response may write a better one",
        help_text="It becomes a demonstration, and the chosen side of a pair.",
    )
    guidelines = forms.CharField(
        required=False,
        label="Guidelines",
        widget=forms.Textarea(attrs={"rows": 10}),
        help_text="Markdown. Shown beside every item.",
    )

    def clean_reasons(self) -> list[str]:
        return _lines(self.cleaned_data["reasons"])

    def clean_thumbs_reasons(self) -> list[str]:
        return _lines(self.cleaned_data["thumbs_reasons"])

    def clean_pairwise_scale(self) -> str:
        return self.cleaned_data["pairwise_scale"] or Protocol.Scale.STRENGTH

    def clean_comment_min_length(self) -> int:
        return self.cleaned_data["comment_min_length"] or 0

    @staticmethod
    def values_of(protocol: Protocol) -> dict[str, Any]:
        return {
            "kinds": protocol.kinds,
            "pairwise_scale": protocol.pairwise_scale,
            "reasons": "\n".join(protocol.reasons),
            "thumbs_reasons": "\n".join(protocol.thumbs_reasons),
            "comment_min_length": protocol.comment_min_length,
            "allows_rewrite": protocol.allows_rewrite,
            "guidelines": protocol.guidelines,
        }


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


class CriterionForm(forms.Form):
    key = forms.CharField(required=False, widget=forms.HiddenInput)
    name = forms.CharField(required=False, max_length=60, label="Criterion")
    definition = forms.CharField(required=False, max_length=500, label="What it asks")


CriterionFormSet = formset_factory(
    CriterionForm, extra=2, max_num=MOST_CRITERIA, absolute_max=MOST_CRITERIA + 5
)


def criteria_of(rows: BaseFormSet[CriterionForm]) -> list[dict[str, str]]:
    """Rows without a name are left out: that is how one is removed."""
    return [
        {name: form.cleaned_data.get(name, "") for name in ("key", "name", "definition")}
        for form in rows.forms
        if form.cleaned_data.get("name")
    ]


class FilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """One or more uploads, as a list."""

    widget = FilesInput

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        given = list(data) if isinstance(data, list | tuple) else [data]
        return [super(FilesField, self).clean(one, initial) for one in given or [None]]


class ImportForm(forms.Form):
    format = forms.ChoiceField(
        choices=[(one.name, one.title) for one in FORMATS.values()],
        help_text="A data set keeps its own names; a pair or line file is described below.",
    )
    # The stubs take `files` for the form's own; Django keeps declared fields elsewhere.
    files = FilesField(  # type: ignore[assignment]
        label="File",
        help_text="Several at once when the data set comes in several (LLMFAO, PandaLM's judges).",
    )
    label = forms.CharField(
        required=False,
        max_length=80,
        label="Name of the source",
        help_text="Left empty: the file's name. The same name again adds only what is new.",
    )
    keep_open = forms.BooleanField(
        required=False,
        label="Ask our labelers too",
        help_text="Items that come with judgments are otherwise closed.",
    )
    hide_gold = forms.BooleanField(
        required=False,
        label="Use rows with a known answer as hidden gold",
        help_text="They measure labelers and are not judged for themselves; otherwise they are "
        "ordinary items.",
    )
    dry_run = forms.BooleanField(
        required=False, initial=True, label="Only check the file first (dry run)"
    )


class PersonForm(forms.Form):
    username = forms.CharField(max_length=150, help_text="Of somebody who has an account here.")
    role = forms.ChoiceField(choices=[(role, role.capitalize()) for role in Membership.Role.values])

    def clean_username(self) -> User:
        name = self.cleaned_data["username"].strip()
        user = User.objects.filter(username__iexact=name, is_active=True).first()
        if user is None:
            raise forms.ValidationError(
                f"There is no active account {name!r}. An admin of this instance can make one."
            )
        return user


class InvitationForm(forms.Form):
    role = forms.ChoiceField(choices=[(role, role.capitalize()) for role in Membership.Role.values])
    most_uses = forms.IntegerField(
        label="How many people it serves", initial=1, min_value=1, max_value=MOST_USES
    )
    days = forms.TypedChoiceField(
        label="It ends",
        coerce=int,
        initial=DAYS,
        choices=[(1, "in a day"), (7, "in a week"), (30, "in 30 days"), (90, "in 90 days")],
    )
    note = forms.CharField(
        required=False, max_length=100, help_text="For whom it is; only managers read it."
    )
