"""Providers as an admin keeps them: added, changed, priced and retired, keys never shown."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.models import (
    JudgeCall,
    JudgeRun,
    Price,
    Provider,
    ProviderModel,
    ProviderState,
)
from core.models import Secret
from tests.annotation.test_work_views import sign_in
from tests.cast import Cast
from tests.judges import NOWHERE, make_judge, make_model
from tests.llm_server.fixtures import StartServer

NEW = {
    "name": "OpenAI, EU",
    "base_url": "https://api.example.com/v1",
    "concurrency": "8",
    "requests_per_minute": "600",
    "tokens_per_minute": "",
    "timeout_seconds": "30",
    "key": "sk-sesame-1234",
}


def url(name: str, *args: int) -> str:
    return reverse(f"annotation:{name}", args=args)


def seen(cast: Cast, name: str, *args: int) -> str:
    reply = sign_in(cast.ada).get(url(name, *args))
    assert reply.status_code == 200
    return " ".join(reply.content.decode().split())


def test_an_empty_page_says_what_to_do(cast: Cast) -> None:
    page = seen(cast, "providers")
    assert "No provider yet" in page
    assert "manage.py serve" in page


def test_a_provider_is_added_and_its_key_never_shown(cast: Cast) -> None:
    reply = sign_in(cast.ada).post(url("new-provider"), NEW)
    provider = Provider.objects.get()
    assert reply["Location"] == url("provider", provider.pk)
    assert (provider.concurrency, provider.requests_per_minute) == (8, 600)
    assert provider.tokens_per_minute is None
    page = seen(cast, "provider", provider.pk)
    assert "…1234" in page
    assert "sesame" not in page
    assert "sesame" not in seen(cast, "providers")
    assert "8 at once and 600 requests a minute" in seen(cast, "providers")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "", "required"),
        ("concurrency", "0", "greater than or equal to 1"),
        ("base_url", "file:///etc/passwd", "Only http:// and https://"),
        ("base_url", "http://127.0.0.1:8000/v1", "PREFLOOP_EGRESS_ORIGINS"),
        ("base_url", "https://user:pass@api.example.com", "holds a user name or a key"),
    ],
)
def test_what_makes_no_sense_is_refused(cast: Cast, field: str, value: str, words: str) -> None:
    reply = sign_in(cast.ada).post(url("new-provider"), {**NEW, field: value})
    assert reply.status_code == 422
    assert words in reply.content.decode()
    assert "sesame" not in reply.content.decode()
    assert not Provider.objects.exists()


def test_it_is_changed_its_key_replaced_and_it_is_retired(cast: Cast) -> None:
    client = sign_in(cast.ada)
    client.post(url("new-provider"), NEW)
    provider = Provider.objects.get()
    changed = {**NEW, "name": "Renamed", "concurrency": "9"}
    assert client.post(url("provider", provider.pk), changed).status_code == 302
    assert client.post(url("provider", provider.pk), {**changed, "name": ""}).status_code == 422
    assert (
        client.post(url("provider-key", provider.pk), {"key": "sk-another-key-9876"}).status_code
        == 302
    )
    assert client.post(url("provider-key", provider.pk), {"key": ""}).status_code == 422
    provider.refresh_from_db()
    assert (provider.name, provider.concurrency) == ("Renamed", 9)
    assert Secret.objects.get().last_four == "9876"
    client.post(url("provider-retire", provider.pk))
    assert "retired" in seen(cast, "providers")
    assert not Secret.objects.exists()
    client.post(url("provider-restore", provider.pk))
    provider.refresh_from_db()
    assert provider.retired_at is None


def test_the_list_says_what_holds_a_provider_back(cast: Cast) -> None:
    now = timezone.now()
    broken = make_model().provider
    ProviderState.objects.update_or_create(
        provider=broken,
        defaults={
            "open_until": now + timedelta(minutes=5),
            "failures_in_a_row": 7,
            "last_error": "503: busy",
        },
    )
    page = seen(cast, "providers")
    assert "not asked" in page
    assert "after 7 failures in a row" in page
    assert "503: busy" in page
    ProviderState.objects.update(open_until=None, not_before=now + timedelta(minutes=1))
    assert "told to wait" in seen(cast, "providers")
    ProviderState.objects.update(not_before=None)
    assert "not asked yet" in seen(cast, "providers")


def test_a_provider_is_as_its_last_probe_and_its_calls_found_it(cast: Cast) -> None:
    judge = make_judge(cast.project)
    assert "not asked yet" in seen(cast, "provider", judge.model.provider_id)
    run = JudgeRun.objects.create(project=cast.project, judge=judge, cap=1)
    JudgeCall.objects.create(judge=judge, run=run, call_key="a", purpose="judge", state="done")
    assert "answers</span>" in seen(cast, "providers")
    now = timezone.now()
    ProviderModel.objects.update(probed_at=now, probe_error="No connection: refused")
    assert "last probe failed" in seen(cast, "providers")
    make_model(name="judge-2", probed_at=now + timedelta(minutes=90))
    page = seen(cast, "providers")
    assert "last probe failed" not in page
    assert "probed an hour from now" in page


def test_models_are_added_and_priced_by_the_day(cast: Cast) -> None:
    client = sign_in(cast.ada)
    provider = Provider.objects.create(name="Local", base_url=NOWHERE)
    add = url("provider-add-model", provider.pk)
    assert client.post(add, {"name": "llama-3", "family": "Llama"}).status_code == 302
    assert client.post(add, {"name": ""}).status_code == 422
    model = ProviderModel.objects.get()
    assert "Not probed yet" in seen(cast, "provider", provider.pk)
    assert "No price known" in seen(cast, "provider", provider.pk)
    price = url("provider-price", provider.pk, model.pk)
    given = {"valid_from": "2026-01-01", "input_per_million": "2.5", "output_per_million": "10"}
    assert client.post(price, given).status_code == 302
    refused = client.post(price, {**given, "input_per_million": "-1"})
    assert refused.status_code == 422
    assert "greater than or equal to 0" in refused.content.decode()
    client.post(price, {**given, "valid_from": "2999-01-01", "input_per_million": "9"})
    assert Price.objects.count() == 2
    page = seen(cast, "provider", provider.pk)
    assert "$2.50 in, $10.00 out, a million tokens" in page
    assert "in force" in page


# A probe looks at the database from a thread of its own.
@pytest.mark.django_db(transaction=True)
def test_a_probe_is_told_in_words(cast: Cast, settings: object, llm_server: StartServer) -> None:
    server = llm_server(key="sesame")
    settings.EGRESS_ORIGINS = [server.url]  # type: ignore[attr-defined]
    client = sign_in(cast.ada)
    client.post(url("new-provider"), {**NEW, "base_url": server.base_url, "key": "sesame"})
    provider = Provider.objects.get()
    offered = seen(cast, "provider-offered", provider.pk)
    assert "Choose one to add it" in offered
    name = offered.split('name="name" value="')[1].split('"')[0]
    client.post(url("provider-add-model", provider.pk), {"name": name})
    model = ProviderModel.objects.get()
    reply = client.post(url("provider-probe", provider.pk, model.pk), follow=True)
    assert "give log-probabilities (" in reply.content.decode()
    model.refresh_from_db()
    assert model.can["logprobs"]
    client.post(url("provider-key", provider.pk), {"key": "another"})
    reply = client.get(url("provider-offered", provider.pk))
    assert "did not say which models it serves" in reply.content.decode()


@pytest.mark.django_db(transaction=True)
def test_an_endpoint_that_is_down_is_told_in_whole_sentences(cast: Cast, settings: object) -> None:
    settings.EGRESS_ORIGINS = ["http://127.0.0.1:9"]  # type: ignore[attr-defined]
    page = seen(cast, "provider-offered", make_model().provider_id)
    assert re.search(r"cannot be reached: [^<]*[^.]\. You can still add", page)


@pytest.mark.django_db(transaction=True)
def test_an_endpoint_that_may_not_be_asked_is_told(cast: Cast) -> None:
    model = make_model(can={})
    page = seen(cast, "provider-offered", model.provider_id)
    assert "PREFLOOP_EGRESS_ORIGINS" in page
    reply = sign_in(cast.ada).post(url("provider-probe", model.provider_id, model.pk), follow=True)
    assert "Could not be probed" in reply.content.decode()


@pytest.mark.parametrize("who", ["mary", "rosa", "bob", "mallory"])
def test_nobody_else_sees_them(cast: Cast, who: str) -> None:
    client = sign_in(getattr(cast, who))
    model = make_model()
    for name, args in (
        ("providers", ()),
        ("new-provider", ()),
        ("provider", (model.provider_id,)),
        ("provider-offered", (model.provider_id,)),
    ):
        assert client.get(url(name, *args)).status_code == 403
    probe = url("provider-probe", model.provider_id, model.pk)
    assert client.post(probe).status_code == 403
    home = client.get("/", follow=True).content.decode()
    assert "/providers/" not in home
