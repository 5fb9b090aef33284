"""Beside the button that resumes a run."""

from __future__ import annotations

from django import forms


class ResumeForm(forms.Form):
    """Left out, the budget stays."""

    kl_budget = forms.FloatField(required=False)
