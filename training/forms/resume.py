"""Beside the button that resumes a run."""

from __future__ import annotations

from collections.abc import Mapping

from django import forms

from training.alignment.config import TrainingConfig
from training.alignment.options import describe_options
from training.forms.options import option_field

BUDGET = next(one for one in describe_options(TrainingConfig) if one.name == "kl_budget")


class ResumeForm(forms.Form):
    """Left out, the budget stays; a field that was emptied is refused."""

    kl_budget = option_field(BUDGET)

    def __init__(self, data: Mapping[str, str]) -> None:
        super().__init__(data)
        self.fields["kl_budget"].required = "kl_budget" in data

    @property
    def problem(self) -> str:
        """Of a form that is not valid: what was typed, and what to type."""
        typed = str(self["kl_budget"].data).strip()[:40]
        was = f"“{typed}” is no KL budget" if typed else "the KL budget was left empty"
        return f"The run was not resumed: {was}. {self.errors['kl_budget'][0]}"
