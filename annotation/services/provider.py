"""Providers: where models are asked, with which key, how fast, and at what price."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from annotation.llm.errors import CallFailed
from annotation.llm.probe import probe_in_thread
from annotation.messages import storable
from annotation.models import Price, Provider, ProviderModel
from core.egress import EgressRefused, check_url, origin_of
from core.errors import Conflict, PrefloopError
from core.models import User
from core.services.audit import record_event
from core.services.secret import create_secret, delete_secret, replace_secret

BOUNDS = {
    "concurrency": (1, 1_000),
    "timeout_seconds": (1, 600),
    "requests_per_minute": (1, 2_000_000_000),
    "tokens_per_minute": (1, 2_000_000_000),
}
WITHOUT_LIMIT = {"requests_per_minute", "tokens_per_minute"}


@sensitive_variables("key")
@transaction.atomic
def create_provider(
    *,
    name: str,
    base_url: str,
    actor: User | None,
    key: str = "",
    concurrency: int = 16,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    timeout_seconds: int = 60,
) -> Provider:
    given = {
        "name": name,
        "base_url": base_url,
        "concurrency": concurrency,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "timeout_seconds": timeout_seconds,
    }
    fields = _checked(given)
    _check_free(fields["name"])
    provider = Provider.objects.create(**fields, created_by=actor)
    if key:
        _store_key(provider, key, actor)
    _record(provider, actor, "create_provider", **fields)
    return provider


@transaction.atomic
def change_provider(*, provider: Provider, actor: User | None, **given: Any) -> Provider:
    """Takes what create_provider does, but the key. Another origin clears the key."""
    locked = Provider.objects.select_for_update().get(pk=provider.pk)
    fields = _checked(given)
    if "name" in fields:
        _check_free(fields["name"], but=locked)
    moved = "base_url" in fields and origin_of(fields["base_url"]) != origin_of(locked.base_url)
    changed = {name: value for name, value in fields.items() if getattr(locked, name) != value}
    if not changed:
        return provider
    Provider.objects.filter(pk=locked.pk).update(**changed)
    if moved:
        _clear_key(locked, actor)
    _record(locked, actor, "change_provider", **changed, key_cleared=moved)
    provider.refresh_from_db()
    return provider


@sensitive_variables("key")
@transaction.atomic
def set_provider_key(*, provider: Provider, key: str, actor: User | None) -> Provider:
    """Replaces the key; an empty one clears it."""
    locked = Provider.objects.select_for_update().get(pk=provider.pk)
    if key.strip():
        _store_key(locked, key, actor)
    else:
        _clear_key(locked, actor)
    provider.refresh_from_db()
    return provider


@transaction.atomic
def retire_provider(*, provider: Provider, actor: User | None) -> Provider:
    """Asked no more, and its key is forgotten; its judges and calls stay."""
    retired = Provider.objects.filter(pk=provider.pk, retired_at=None).update(
        retired_at=timezone.now()
    )
    if retired:
        _clear_key(Provider.objects.select_for_update().get(pk=provider.pk), actor)
        _record(provider, actor, "retire_provider")
    provider.refresh_from_db()
    return provider


@transaction.atomic
def restore_provider(*, provider: Provider, actor: User | None) -> Provider:
    """Asked again, where it was retired; its key has to be stored anew."""
    restored = Provider.objects.filter(pk=provider.pk, retired_at__isnull=False).update(
        retired_at=None
    )
    if restored:
        _record(provider, actor, "restore_provider")
    provider.refresh_from_db()
    return provider


@transaction.atomic
def add_model(
    *, provider: Provider, name: str, actor: User | None, family: str = ""
) -> ProviderModel:
    """A model that is there already is returned, its family changed where one is given."""
    name, family = _text(name, "name", 150), _text(family, "family", 100, may_be_empty=True)
    model, is_new = ProviderModel.objects.get_or_create(
        provider=provider, name=name, defaults={"family": family}
    )
    if is_new:
        _record(model, actor, "add_model", provider=provider.pk, name=name)
    elif family and family != model.family:
        model.family = family
        model.save(update_fields=["family"])
        _record(model, actor, "change_model", family=family)
    return model


def probe_model(*, model: ProviderModel, actor: User | None) -> ProviderModel:
    """Asks the endpoint what the model can; about ten small calls, so outside any transaction."""
    try:
        can, problem = probe_in_thread(model.provider, model.name), ""
    except CallFailed as error:
        can, problem = None, error.message
    except PrefloopError as error:
        can, problem = None, error.message
    with transaction.atomic():
        found: dict[str, Any] = {"probe_error": problem[:500], "probed_at": timezone.now()}
        # An endpoint that is down today can tomorrow what it could yesterday.
        found |= {} if can is None else {"can": model.can | can}
        ProviderModel.objects.filter(pk=model.pk).update(**found)
        _record(model, actor, "probe_model", can=can, error=problem[:500])
    model.refresh_from_db()
    return model


@transaction.atomic
def set_price(
    *,
    model: ProviderModel,
    input_per_million: Decimal,
    output_per_million: Decimal,
    actor: User | None,
    valid_from: date | None = None,
) -> Price:
    """From a day on, today unless said. A second price of one day corrects the first.

    What was booked keeps the price it was booked at; the trail keeps what was corrected.
    """
    for field, value in (
        ("input_per_million", input_per_million),
        ("output_per_million", output_per_million),
    ):
        if not (value.is_finite() and 0 <= value < 1_000_000):
            raise PrefloopError("A price is between 0 and 1,000,000 dollars.", field=field)
    day = valid_from or timezone.localdate()
    before = Price.objects.filter(model=model, valid_from=day).values_list(
        "input_per_million", "output_per_million"
    )
    old = [str(value) for row in before for value in row]
    price, _ = Price.objects.update_or_create(
        model=model,
        valid_from=day,
        defaults={
            "input_per_million": input_per_million,
            "output_per_million": output_per_million,
            "created_by": actor,
        },
    )
    new = [str(input_per_million), str(output_per_million)]
    _record(price, actor, "set_price", model=model.pk, valid_from=str(day), price=new, before=old)
    return price


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    fields = dict(given)
    if "name" in fields:
        fields["name"] = _text(fields["name"], "name", 100)
    if "base_url" in fields:
        fields["base_url"] = _checked_url(fields["base_url"])
    for name, (low, high) in BOUNDS.items():
        value = fields.get(name)
        if name not in fields or (value is None and name in WITHOUT_LIMIT):
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise PrefloopError(f"This is a whole number from {low:,} to {high:,}.", field=name)
    unknown = set(fields) - {"name", "base_url", *BOUNDS}
    if unknown:
        raise PrefloopError(f"A provider has no {', '.join(sorted(unknown))}.")
    return fields


def _checked_url(url: str) -> str:
    try:
        checked = check_url(url)
    except EgressRefused as error:
        raise EgressRefused(error.message, field="base_url") from error
    if len(checked) > 300:
        raise PrefloopError("The URL is longer than 300 characters.", field="base_url")
    return checked


def _text(value: str, field: str, longest: int, *, may_be_empty: bool = False) -> str:
    text = storable(value.strip(), field)
    if not text and not may_be_empty:
        raise PrefloopError("This is empty.", field=field)
    if len(text) > longest:
        raise PrefloopError(f"This is longer than {longest} characters.", field=field)
    return text


def _check_free(name: str, *, but: Provider | None = None) -> None:
    taken = Provider.objects.filter(name=name)
    if taken.exclude(pk=but.pk).exists() if but else taken.exists():
        raise Conflict(f"Another provider is called {name}.", field="name")


@sensitive_variables("key")
def _store_key(provider: Provider, key: str, actor: User | None) -> None:
    origin = origin_of(provider.base_url)
    if provider.secret is not None:
        replace_secret(secret=provider.secret, origin=origin, value=key, actor=actor)
        return
    name = f"provider {provider.uuid}"
    provider.secret = create_secret(name=name, origin=origin, value=key, actor=actor)
    provider.save(update_fields=["secret"])


def _clear_key(provider: Provider, actor: User | None) -> None:
    secret = provider.secret
    if secret is not None:
        Provider.objects.filter(pk=provider.pk).update(secret=None)
        delete_secret(secret=secret, actor=actor)


def _record(target: Any, actor: User | None, action: str, **detail: Any) -> None:
    record_event(actor=actor, action=action, target=target, detail=detail)
