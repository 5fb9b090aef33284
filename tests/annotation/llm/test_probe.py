"""A probe finds what an endpoint can do, also where it ignores what it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from annotation.judge_words import ABILITIES, abilities_in_words
from annotation.llm import retry
from annotation.llm.errors import CallFailed
from annotation.llm.probe import probe
from annotation.models import Provider, ProviderModel
from annotation.services.provider import probe_model, set_provider_key
from tests.cast import make_user
from tests.llm_server import LlmServer
from tests.llm_server.fixtures import ModelServer

ALL = {
    "length_as": "max_tokens", "temperature": True, "logprobs": True, "top_logprobs": 20,
    "n": True, "seed": True, "json_schema": True, "choices": True,
    "choices_as": "structured_outputs",
}  # fmt: skip


@pytest.fixture(autouse=True)
def short_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(retry, "MOST_SECONDS", 0.1)


def found(provider: Provider, model: str = "scripted") -> dict[str, Any]:
    return asyncio.run(probe(provider, model))


def test_all_that_an_endpoint_can_is_found(provider: Callable[..., Provider]) -> None:
    assert found(provider()) == ALL


@pytest.mark.parametrize("way", ["ignored", "refused"])
def test_what_it_cannot_is_found_whether_it_says_so_or_not(
    provider: Callable[..., Provider], server: LlmServer, way: str
) -> None:
    server.change(**{way: ["logprobs", "n", "seed", "json_schema", "choices"]})
    can = found(provider())
    assert not any(can[name] for name in ("logprobs", "n", "seed", "json_schema", "choices"))
    assert can["top_logprobs"] == 0


@pytest.mark.parametrize("one", ["logprobs", "n", "seed", "json_schema", "choices"])
def test_one_missing_ability_does_not_hide_the_others(
    provider: Callable[..., Provider], server: LlmServer, one: str
) -> None:
    server.change(ignored=[one])
    can = found(provider())
    assert {
        name for name in ("logprobs", "n", "seed", "json_schema", "choices") if not can[name]
    } == {one}


def test_a_model_that_is_not_there_is_an_error_with_its_reason(
    provider: Callable[..., Provider],
) -> None:
    with pytest.raises(CallFailed, match="404"):
        found(provider(), "another")


def test_the_probe_is_stored_and_a_failed_one_keeps_what_was_known(
    provider: Callable[..., Provider], server: LlmServer
) -> None:
    ada = make_user("ada", is_admin=True)
    model = ProviderModel.objects.get(provider=provider())
    model = probe_model(model=model, actor=ada)
    assert (model.can, model.probe_error) == (ALL, "")
    assert model.probed_at is not None
    server.change(rates={"500": 1.0})
    model = probe_model(model=model, actor=ada)
    assert model.can == ALL
    assert "500" in model.probe_error


@pytest.mark.parametrize("one", ["logprobs", "n", "seed", "json_schema", "choices"])
def test_an_error_over_one_ability_says_nothing_of_it(
    provider: Callable[..., Provider], server: LlmServer, one: str
) -> None:
    ada = make_user("ada", is_admin=True)
    model = ProviderModel.objects.get(provider=provider())
    server.change(refused=[one], refused_with=500)
    model = probe_model(model=model, actor=ada)
    assert one not in model.can
    assert f"not known whether it can {ABILITIES[one]}" in abilities_in_words(model.can)
    assert all(model.can[name] for name in ALL if name in model.can)
    server.change(refused=[])
    assert probe_model(model=model, actor=ada).can == ALL
    server.change(refused=[one])
    model = probe_model(model=model, actor=ada)
    assert model.can == ALL
    server.change(refused_with=400)
    assert probe_model(model=model, actor=ada).can[one] is False


def test_our_own_server_can_what_judges_need(
    smollm2_server: ModelServer, settings: Any, transactional_db: None
) -> None:
    """The real SmolLM2: log-probabilities, n, seed and choices; no schema, which it refuses."""
    settings.EGRESS_ORIGINS = [smollm2_server.url]
    provider = Provider.objects.create(name="own", base_url=smollm2_server.base_url)
    set_provider_key(
        provider=provider, key=smollm2_server.key, actor=make_user("ada", is_admin=True)
    )
    assert found(provider, smollm2_server.model) == ALL | {"json_schema": False}
