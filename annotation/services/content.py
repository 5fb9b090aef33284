"""Prompts, responses and what wrote them: added in bulk, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.utils import timezone

from annotation.messages import Messages, checked_prompt, checked_response
from annotation.models import Generator, Project, Prompt, Response
from annotation.services.clusters import assign_clusters
from core.bulk import copy_rows, lock, new_ids
from core.canonical_json import canonical, digest_of_text

# One writer of a project's content at a time: what is new is decided under this lock.
CONTENT_LOCK = 7_214_101

PROMPT_FIELDS = (
    "id",
    "project",
    "messages",
    "content_hash",
    "external_id",
    "cluster",
    "side",
    "tags",
    "created_at",
)
RESPONSE_FIELDS = (
    "id",
    "uuid",
    "prompt",
    "generator",
    "messages",
    "content_hash",
    "sampling",
    "created_at",
)


@dataclass(frozen=True, slots=True)
class NewPrompt:
    messages: list[dict[str, str]]
    external_id: str = ""
    tags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewResponse:
    prompt: Prompt
    generator: Generator
    messages: list[dict[str, str]]
    sampling: Mapping[str, Any] = field(default_factory=dict)


def lock_content(*project_ids: int) -> None:
    for project_id in sorted(set(project_ids)):
        lock(CONTENT_LOCK, project_id)


def get_generator(*, name: str, family: str = "", kind: str = Generator.Kind.MODEL) -> Generator:
    """The generator of this name; it keeps the family and kind that it was first given."""
    return Generator.objects.get_or_create(name=name, defaults={"family": family, "kind": kind})[0]


def add_prompts(*, project: Project, prompts: Sequence[NewPrompt]) -> list[Prompt]:
    """The prompts' rows in the order given; those that the project has already are returned.

    A new prompt's side (train or held-out) is decided here, once, from its near-duplicates.
    """
    return store_prompts(project=project, prompts=prompts)[0]


def add_responses(*, responses: Sequence[NewResponse]) -> list[Response]:
    """The responses' rows in the order given; a generator's text to a prompt is stored once."""
    return store_responses(responses=responses)[0]


@transaction.atomic
def store_prompts(*, project: Project, prompts: Sequence[NewPrompt]) -> tuple[list[Prompt], int]:
    """As add_prompts; tells also how many were new."""
    messages = [checked_prompt(prompt.messages) for prompt in prompts]
    hashes, texts = _identified(messages)
    lock_content(project.pk)
    known = {
        row.content_hash: row
        for row in Prompt.objects.filter(project=project, content_hash__any=set(hashes))
    }
    fresh: dict[str, Prompt] = {}
    for prompt, content, content_hash in zip(prompts, messages, hashes, strict=True):
        if content_hash not in known and content_hash not in fresh:
            fresh[content_hash] = Prompt(
                project_id=project.pk,
                messages=content,
                content_hash=content_hash,
                external_id=prompt.external_id,
                tags=dict(prompt.tags),
            )
    if fresh:
        _write_prompts(project, list(fresh.values()), texts)
    known.update(fresh)
    return [known[content_hash] for content_hash in hashes], len(fresh)


def _identified(messages: Sequence[Messages]) -> tuple[list[str], dict[str, str]]:
    """Each one's hash, and by hash the canonical JSON, which is also what the database gets."""
    spelled = [canonical(one) for one in messages]
    hashes = [digest_of_text(text) for text in spelled]
    return hashes, dict(zip(hashes, spelled, strict=True))


def _write_prompts(project: Project, prompts: list[Prompt], texts: Mapping[str, str]) -> None:
    assign_clusters(project, prompts)
    now = timezone.now()
    for prompt, key in zip(prompts, new_ids(Prompt, len(prompts)), strict=True):
        prompt.pk, prompt.created_at = key, now
        prompt._state.adding = False
    copy_rows(
        Prompt,
        PROMPT_FIELDS,
        (
            (
                row.pk,
                row.project_id,
                texts[row.content_hash],
                row.content_hash,
                row.external_id,
                row.cluster_id,
                row.side,
                canonical(row.tags) if row.tags else "{}",
                now,
            )
            for row in prompts
        ),
    )


@transaction.atomic
def store_responses(*, responses: Sequence[NewResponse]) -> tuple[list[Response], int]:
    """As add_responses; tells also how many were new."""
    messages = [checked_response(response.messages) for response in responses]
    hashes, texts = _identified(messages)
    keys = [
        (response.prompt.pk, response.generator.pk, content_hash)
        for response, content_hash in zip(responses, hashes, strict=True)
    ]
    lock_content(*(response.prompt.project_id for response in responses))
    known = _known_responses(keys)
    fresh: dict[tuple[int, int, str], Response] = {}
    for response, content, key in zip(responses, messages, keys, strict=True):
        if key not in known and key not in fresh:
            fresh[key] = Response(
                uuid=uuid4(),
                prompt_id=key[0],
                generator_id=key[1],
                messages=content,
                content_hash=key[2],
                sampling=dict(response.sampling),
            )
    _write_responses(list(fresh.values()), texts)
    known.update(fresh)
    return [known[key] for key in keys], len(fresh)


# One probe of the unique index for each key; two arrays in a WHERE would try every combination.
_RESPONSES_BY_KEY = """
SELECT response.*
FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS key (prompt, generator, hash)
JOIN annotation_response response ON response.prompt_id = key.prompt
  AND response.generator_id = key.generator AND response.content_hash = key.hash
"""


def _known_responses(
    keys: Sequence[tuple[int, int, str]],
) -> dict[tuple[int, int, str], Response]:
    columns = [list(column) for column in zip(*set(keys), strict=True)] or [[], [], []]
    found = Response.objects.raw(_RESPONSES_BY_KEY, columns)
    return {(row.prompt_id, row.generator_id, row.content_hash): row for row in found}


def _write_responses(responses: list[Response], texts: Mapping[str, str]) -> None:
    now = timezone.now()
    for response, key in zip(responses, new_ids(Response, len(responses)), strict=True):
        response.pk, response.created_at = key, now
        response._state.adding = False
    copy_rows(
        Response,
        RESPONSE_FIELDS,
        (
            (
                row.pk,
                row.uuid,
                row.prompt_id,
                row.generator_id,
                texts[row.content_hash],
                row.content_hash,
                canonical(row.sampling) if row.sampling else "{}",
                now,
            )
            for row in responses
        ),
    )
