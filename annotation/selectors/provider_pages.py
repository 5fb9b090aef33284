"""Providers as an admin reads them: what holds a provider back, and what its models cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from annotation.judge_words import listed
from annotation.models import JudgeCall, Price, Provider, ProviderModel, ProviderState


@dataclass(frozen=True)
class ProviderRow:
    provider: Provider
    state: ProviderState | None
    # "retired", "broken" (nobody asks until then), "waits" (told to by the endpoint), "failed" (the
    # last probe, then), "answers" (to the last probe, then, or to calls) or "unasked"
    name: str
    when: datetime | None
    limits: str


def providers() -> QuerySet[Provider]:
    """Those in use first, with `model_count` and `probed_count`."""
    probed = Q(models__probed_at__isnull=False)
    return (
        Provider.objects.select_related("secret", "state")
        .annotate(
            model_count=Count("models"),
            probed_count=Count("models", filter=probed),
        )
        .order_by("retired_at", "name")
    )


def provider_row(provider: Provider) -> ProviderRow:
    state = getattr(provider, "state", None)
    name, when = _held_back(provider, state) or _last_heard(provider)
    return ProviderRow(provider, state, name, when, limits_in_words(provider))


def _held_back(
    provider: Provider, state: ProviderState | None
) -> tuple[str, datetime | None] | None:
    now = timezone.now()
    if provider.retired_at is not None:
        return "retired", None
    if state is not None and state.open_until is not None and state.open_until > now:
        return "broken", state.open_until
    if state is not None and state.not_before is not None and state.not_before > now:
        return "waits", state.not_before
    return None


def _last_heard(provider: Provider) -> tuple[str, datetime | None]:
    newest = provider.models.exclude(probed_at=None).order_by("-probed_at").first()
    if newest is not None:
        return "failed" if newest.probe_error else "answers", newest.probed_at
    answered = JudgeCall.objects.filter(judge__model__provider=provider, state=JudgeCall.State.DONE)
    return "answers" if answered.exists() else "unasked", None


def limits_in_words(provider: Provider) -> str:
    limits = [f"{provider.concurrency:,} at once"]
    if provider.requests_per_minute:
        limits.append(f"{provider.requests_per_minute:,} requests a minute")
    if provider.tokens_per_minute:
        limits.append(f"{provider.tokens_per_minute:,} tokens a minute")
    return listed(limits)


@dataclass(frozen=True)
class ModelRow:
    model: ProviderModel
    # Newest day first.
    prices: list[Price]
    # In force today.
    price: Price | None
    judges: int


def model_rows(provider: Provider) -> list[ModelRow]:
    models = (
        provider.models.annotate(judge_count=Count("judges"))
        .prefetch_related("prices")
        .order_by("name")
    )
    return [
        ModelRow(model, _newest_first(model), price_in_force(model), model.judge_count)
        for model in models
    ]


def _newest_first(model: ProviderModel) -> list[Price]:
    return sorted(model.prices.all(), key=lambda price: price.valid_from, reverse=True)


def price_in_force(model: ProviderModel) -> Price | None:
    """Of today, from the prices that were fetched with the model."""
    today = timezone.localdate()
    return next((one for one in _newest_first(model) if one.valid_from <= today), None)
