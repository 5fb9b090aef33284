"""Reads of providers, their models and what those cost."""

from __future__ import annotations

from datetime import date

from annotation.models import Price, ProviderModel


def price_of(model: ProviderModel, day: date) -> Price | None:
    """The price in force on that day; None: no price is known."""
    return model.prices.filter(valid_from__lte=day).order_by("-valid_from").first()
