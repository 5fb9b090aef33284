"""What decides which other fields the launch form has: snapshot, method, adapter."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django import forms

from annotation.models import Project
from feedback.models import Snapshot
from training.alignment.methods import Method, methods
from training.selectors.training_data import usable_methods

ADAPTERS = [("full", "All weights"), ("lora", "A LoRA adapter (less memory)")]
SNAPSHOT_HELP = "Preferences as they were frozen, a part of them held out to evaluate on."


class LaunchChoice(forms.Form):
    snapshot = forms.ModelChoiceField(
        queryset=Snapshot.objects.none(), empty_label=None, help_text=SNAPSHOT_HELP
    )
    method = forms.ChoiceField()
    adapter = forms.ChoiceField(
        choices=ADAPTERS,
        label="Train",
        help_text="An adapter is merged into the model at the end, so the version is whole too.",
    )

    def __init__(self, *args: Any, project: Project, usable: list[Method], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["snapshot"].queryset = snapshots_of(project)  # type: ignore[attr-defined]
        self.fields["method"].choices = by_family(usable)  # type: ignore[attr-defined]
        self.fields["method"].help_text = _left_out(usable)


def completed_choice(project: Project, data: Any) -> tuple[dict[str, str], list[Method]]:
    """The choices as given, with defaults for what is missing or does not fit the snapshot, and
    the methods that the snapshot can feed."""
    number = str(data.get("snapshot", ""))
    rows = snapshots_of(project)
    snapshot = rows.filter(pk=number).first() if number.isdecimal() else None
    snapshot = snapshot or rows.first()
    if snapshot is None:
        return {}, []
    usable = usable_methods(snapshot)
    names = [method.name for method in usable]
    method, adapter = str(data.get("method", "")), str(data.get("adapter", ""))
    chosen = {
        "snapshot": str(snapshot.pk),
        "method": method if method in names else _first(names),
        "adapter": adapter if adapter in dict(ADAPTERS) else "full",
    }
    return chosen, usable


def snapshots_of(project: Project) -> Any:
    return Snapshot.objects.filter(project=project, replaced_by=None)


def by_family(usable: list[Method]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Groups of a select, families in the order in which the registry first names them."""
    families = list(dict.fromkeys(method.family for method in usable))
    ordered = sorted(usable, key=lambda method: families.index(method.family))
    return [
        (family or "Methods", [(one.name, one.title) for one in group])
        for family, group in groupby(ordered, key=lambda method: method.family)
    ]


def _first(names: list[str]) -> str:
    """Of all methods the one that most people mean, where the data allow it."""
    return "dpo" if "dpo" in names else next(iter(names), "")


def _left_out(usable: list[Method]) -> str:
    """Why a method that somebody looks for is not there."""
    missing = sorted({one.data for one in methods()} - {one.data for one in usable})
    if not missing:
        return "All methods can run on this snapshot."
    listed = " or ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
    return f"Methods that need {listed} are left out: this snapshot has none of these."
