"""The openai client of one provider, over the guarded way out."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
from django.views.decorators.debug import sensitive_variables

from annotation.llm.bodies import Abilities
from annotation.llm.errors import CallFailed
from annotation.llm.replies import parsed
from annotation.models import Provider, ProviderModel
from core.egress import guarded_client, origin_of
from core.services.secret import open_secret

PATH = "/chat/completions"
NO_KEY: dict[str, Any] = {"headers": {"Authorization": openai.Omit()}}


class _Openai(openai.AsyncOpenAI):
    """Sends what we say and nothing else.

    By itself it adds headers from the environment (OPENAI_ORG_ID, OPENAI_CUSTOM_HEADERS, …) and
    facts about this machine, and makes them anew for each call.
    """

    _fixed: dict[str, str | openai.Omit] = {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": "Prefloop",
    }

    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        return self._fixed


class Endpoint:
    """Where a provider's models are asked."""

    @sensitive_variables("key")
    def __init__(self, base_url: str, key: str, *, seconds: float) -> None:
        self._key = key
        self._options: Any = {} if key else NO_KEY
        self._openai = _Openai(
            api_key=key or "none",
            base_url=base_url,
            http_client=guarded_client(seconds=seconds),
            max_retries=0,
            timeout=None,
        )

    async def ask(self, content: bytes) -> dict[str, Any]:
        """The reply's JSON, which holds an answer. Raises one of troubles.RAISED."""
        response = await self._openai.post(
            PATH, cast_to=httpx2.Response, content=content, options=self._options
        )
        received = response.content
        if self._key and self._key.encode() in received:
            received = self.clean(response.text).encode()
        return parsed(received)

    def clean(self, text: str) -> str:
        """An endpoint may repeat the key that it was sent; what it says is stored and shown."""
        return text.replace(self._key, "[key]") if self._key else text

    async def aclose(self) -> None:
        await self._openai.close()


@sensitive_variables("key")
def open_endpoint(provider_id: int) -> tuple[Endpoint, dict[str, Abilities]]:
    """With what its models can, by name. Raises CallFailed, or PrefloopError for its key."""
    provider = Provider.objects.select_related("secret").filter(pk=provider_id).first()
    if provider is None:
        raise CallFailed("refused", "The provider is no longer there.", tries=0)
    if provider.retired_at is not None:
        raise CallFailed("refused", f"{provider.name} is retired and not asked any more.", tries=0)
    secret = provider.secret
    key = "" if secret is None else open_secret(secret, origin_of(provider.base_url))
    names = ProviderModel.objects.filter(provider=provider).values_list("name", "can")
    endpoint = Endpoint(provider.base_url, key, seconds=float(provider.timeout_seconds))
    return endpoint, dict(names)
