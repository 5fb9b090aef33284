"""Providers are made, changed and retired; a key belongs to its origin."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from annotation.models import Price, Provider
from annotation.selectors.provider import price_of
from annotation.services.provider import (
    add_model,
    change_provider,
    create_provider,
    restore_provider,
    retire_provider,
    set_price,
    set_provider_key,
)
from core.egress import EgressRefused
from core.errors import Conflict, PrefloopError
from core.models import AuditEvent, Secret, User
from core.services.secret import open_secret
from tests.cast import make_user

KEY = "sk-canary-0123456789-abcd"
URL = "https://api.example.org/v1"


@pytest.fixture
def ada(db: None) -> User:
    return make_user("ada", is_admin=True)


def make(ada: User, **given: Any) -> Provider:
    return create_provider(**{"name": "Example", "base_url": URL, "actor": ada} | given)


def test_a_provider_is_made_with_its_key(ada: User) -> None:
    provider = make(ada, key=f" {KEY} ", base_url=f"{URL}/", requests_per_minute=60)
    assert (provider.base_url, provider.requests_per_minute) == (URL, 60)
    assert provider.secret is not None
    assert provider.secret.last_four == "abcd"
    assert open_secret(provider.secret, "https://api.example.org") == KEY


def test_another_path_keeps_the_key_and_another_origin_clears_it(ada: User) -> None:
    provider = make(ada, key=KEY)
    provider = change_provider(provider=provider, actor=ada, base_url="https://api.example.org/v2")
    assert provider.secret is not None
    provider = change_provider(provider=provider, actor=ada, base_url="http://api.example.org/v2")
    assert provider.secret is None
    assert not Secret.objects.exists()


def test_a_new_key_replaces_the_old_and_an_empty_one_clears_it(ada: User) -> None:
    provider = set_provider_key(provider=make(ada, key=KEY), key="another-key-1234567", actor=ada)
    assert Secret.objects.count() == 1
    assert provider.secret is not None
    assert open_secret(provider.secret, "https://api.example.org") == "another-key-1234567"
    assert set_provider_key(provider=provider, key="", actor=ada).secret is None


def test_retiring_forgets_the_key_and_happens_once(ada: User) -> None:
    provider = retire_provider(provider=make(ada, key=KEY), actor=ada)
    first = provider.retired_at
    assert first is not None
    assert not Secret.objects.exists()
    assert retire_provider(provider=provider, actor=ada).retired_at == first
    assert AuditEvent.objects.filter(action="retire_provider").count() == 1


def test_a_retired_one_is_taken_into_use_again_without_its_key(ada: User) -> None:
    provider = retire_provider(provider=make(ada, key=KEY), actor=ada)
    for _ in range(2):
        provider = restore_provider(provider=provider, actor=ada)
    assert (provider.retired_at, provider.secret) == (None, None)
    assert AuditEvent.objects.filter(action="restore_provider").count() == 1


def test_an_address_inside_is_refused_with_the_way_to_allow_it(ada: User, settings: Any) -> None:
    with pytest.raises(EgressRefused, match="PREFLOOP_EGRESS_ORIGINS") as refused:
        make(ada, base_url="http://127.0.0.1:8000/v1")
    assert refused.value.fields == {"field": "base_url"}
    settings.EGRESS_ORIGINS = ["http://127.0.0.1:8000"]
    assert make(ada, base_url="http://127.0.0.1:8000/v1").pk


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "x" * 101), ("base_url", "ftp://example.org"), ("base_url", ""),
        ("base_url", "https://example.org/?key=1"), ("concurrency", 0), ("concurrency", 1_001),
        ("timeout_seconds", 601), ("requests_per_minute", 0), ("tokens_per_minute", -1),
        ("concurrency", None), ("concurrency", "4"), ("key", "two words"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_by_its_field(ada: User, field: str, value: Any) -> None:
    with pytest.raises(PrefloopError) as refused:
        make(ada, **{field: value})
    # What is wrong with a URL, check_url's other refusals included, is the URL's field's.
    assert refused.value.fields.get("field") == field
    assert not Provider.objects.exists()


def test_two_providers_have_two_names(ada: User) -> None:
    make(ada)
    other = make(ada, name="Other")
    with pytest.raises(Conflict):
        make(ada)
    with pytest.raises(Conflict):
        change_provider(provider=other, actor=ada, name="Example")
    assert change_provider(provider=other, actor=ada, name="Other", concurrency=4).concurrency == 4


def test_a_model_is_added_once(ada: User) -> None:
    provider = make(ada)
    model = add_model(provider=provider, name=" llama-3 ", family="Llama", actor=ada)
    again = add_model(provider=provider, name="llama-3", actor=ada)
    assert (again.pk, again.family) == (model.pk, "Llama")
    assert add_model(provider=provider, name="llama-3", family="Meta", actor=ada).family == "Meta"


def test_a_price_holds_from_its_day_until_the_next(ada: User) -> None:
    model = add_model(provider=make(ada), name="m", actor=ada)
    for day, dollars in ((date(2026, 1, 1), "1.5"), (date(2026, 6, 1), "2")):
        set_price(model=model, input_per_million=Decimal(dollars), output_per_million=Decimal(4),
                  valid_from=day, actor=ada)  # fmt: skip
    assert price_of(model, date(2025, 12, 31)) is None
    found = [price_of(model, day) for day in (date(2026, 5, 31), date(2026, 6, 1))]
    assert [price.input_per_million for price in found if price] == [Decimal("1.5"), Decimal(2)]


def test_a_price_of_the_same_day_corrects_and_the_trail_keeps_both(ada: User) -> None:
    model = add_model(provider=make(ada), name="m", actor=ada)
    for dollars in (10, 1):
        set_price(model=model, input_per_million=Decimal(dollars), output_per_million=Decimal(2),
                  actor=ada)  # fmt: skip
    assert Price.objects.get().input_per_million == 1
    event = AuditEvent.objects.filter(action="set_price").latest("pk")
    assert event.detail["before"] == ["10.000000", "2.000000"]


@pytest.mark.parametrize("value", [Decimal(-1), Decimal("nan"), Decimal(2_000_000)])
def test_a_price_is_an_amount_of_dollars(ada: User, value: Decimal) -> None:
    model = add_model(provider=make(ada), name="m", actor=ada)
    with pytest.raises(PrefloopError):
        set_price(model=model, input_per_million=value, output_per_million=Decimal(1), actor=ada)


def test_the_key_stands_in_no_trail(ada: User) -> None:
    provider = make(ada, key=KEY)
    set_provider_key(provider=provider, key=KEY, actor=ada)
    trail = str(list(AuditEvent.objects.values_list("detail", flat=True)))
    assert KEY not in trail
    assert "abcd" in trail
