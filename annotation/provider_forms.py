"""The forms of providers: where models are asked, with which key, how fast, and at what price."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone

from annotation.models import Provider

MOST_AT_ONCE = 1_000
LONGEST_KEY = 1_000


def _limit(label: str, unit: str) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        required=False,
        min_value=1,
        max_value=2_000_000_000,
        help_text=f"Of this key, over all workers. Left empty: no limit on {unit}.",
    )


def _key(**given: Any) -> forms.CharField:
    """Never sent back to a browser, not even after a mistake elsewhere in the form."""
    return forms.CharField(
        label="Key",
        max_length=LONGEST_KEY,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}, render_value=False),
        **given,
    )


class ProviderForm(forms.Form):
    name = forms.CharField(
        max_length=100, help_text="As researchers will know it, for instance “OpenAI, EU”."
    )
    base_url = forms.CharField(
        label="Base URL",
        max_length=300,
        widget=forms.URLInput(attrs={"placeholder": "https://api.example.com/v1"}),
        help_text="Of an endpoint that speaks OpenAI's protocol, mostly ending in /v1. An address "
        "inside your own network must be among PREFLOOP_EGRESS_ORIGINS.",
    )
    concurrency = forms.IntegerField(
        label="Calls at once",
        initial=16,
        min_value=1,
        max_value=MOST_AT_ONCE,
        help_text="How many calls a worker has open at one time.",
    )
    requests_per_minute = _limit("Requests a minute", "requests")
    tokens_per_minute = _limit("Tokens a minute", "tokens")
    timeout_seconds = forms.IntegerField(
        label="Seconds to wait for an answer", initial=60, min_value=1, max_value=600
    )

    @staticmethod
    def values_of(provider: Provider) -> dict[str, Any]:
        return {name: getattr(provider, name) for name in ProviderForm.base_fields}


class NewProviderForm(ProviderForm):
    key = _key(
        required=False,
        help_text="Stored encrypted, sent to this address only, and never shown again. Left "
        "empty: the endpoint asks for none.",
    )


class _OneOfSeveral(forms.Form):
    """A page has several of these, so their fields need ids of their own."""

    ids = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("auto_id", f"{self.ids}-%s")
        super().__init__(*args, **kwargs)


class KeyForm(_OneOfSeveral):
    ids = "stored"
    key = _key(help_text="Replaces the one that is stored. It is never shown again.")


class ModelForm(_OneOfSeveral):
    ids = "model"
    name = forms.CharField(
        max_length=150,
        help_text="As the endpoint calls it, letter by letter.",
        widget=forms.TextInput(attrs={"autocapitalize": "none"}),
    )
    family = forms.CharField(
        max_length=100,
        required=False,
        help_text="For instance “Llama”. A judge is measured on whether it favours its own family.",
    )


class PriceForm(forms.Form):
    valid_from = forms.DateField(
        label="From", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    input_per_million = forms.DecimalField(
        label="Dollars for a million tokens in", min_value=0, max_digits=12, decimal_places=6
    )
    output_per_million = forms.DecimalField(
        label="Dollars for a million tokens out", min_value=0, max_digits=12, decimal_places=6
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["valid_from"].initial = timezone.localdate
