"""What an endpoint says that it serves: the names an admin may choose from."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import httpx2
from django.views.decorators.debug import sensitive_variables

from annotation.models import Provider
from core.egress import guarded_client, origin_of, shown_reply
from core.errors import PrefloopError
from core.services.secret import open_secret

SECONDS = 10.0
MOST_BYTES = 4 * 1024 * 1024
MOST_NAMES = 500
LONGEST_NAME = 150
BAD_SHAPE = "The endpoint answered, but not with a list of models. Add a model by its name."


@sensitive_variables("key")
def offered_models(provider: Provider) -> list[str]:
    """By GET /models, in alphabetical order. Asks a stranger's machine: no transaction is held."""
    secret = provider.secret
    key = "" if secret is None else open_secret(secret, origin_of(provider.base_url))
    url = f"{provider.base_url}/models"
    # A view has no event loop of its own, and a caller's must not wait.
    with ThreadPoolExecutor(1) as thread:
        status, text = thread.submit(lambda: asyncio.run(_asked(url, key))).result()
    if status != 200:
        said = shown_reply(status, text.replace(key, "[key]") if key else text)
        raise PrefloopError(f"The endpoint did not say which models it serves ({said}).")
    return _names(text)


@sensitive_variables("key")
async def _asked(url: str, key: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with guarded_client(seconds=SECONDS, most_bytes=MOST_BYTES) as client:
        try:
            reply = await client.get(url, headers=headers)
        except httpx2.HTTPError as error:
            words = str(error).rstrip(".")
            raise PrefloopError(f"The endpoint cannot be reached: {words}.") from error
    return reply.status_code, reply.text


def _names(text: str) -> list[str]:
    try:
        rows = json.loads(text)["data"]
        names = {row["id"] for row in rows}
    except (ValueError, LookupError, TypeError) as error:
        raise PrefloopError(BAD_SHAPE) from error
    usable = [name for name in names if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME]
    return sorted(usable)[:MOST_NAMES]
