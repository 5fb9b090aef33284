"""Items: made in bulk, each once; opened, closed and ordered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from annotation.models import Assignment, Item, ItemResponse, Kind, Project, Prompt, Response
from annotation.models.item import random_key
from annotation.services.content import lock_content
from core.bulk import copy_integers, copy_rows, new_ids
from core.errors import Conflict, PrefloopError
from core.models import User
from core.services.audit import record_event

ITEM_FIELDS = (
    "id",
    "project",
    "prompt",
    "kind",
    "origin",
    "overlap",
    "open_slots",
    "priority",
    "rnd",
    "started",
    "skips",
    "closed_at",
    "batch",
    "external_id",
    "content_key",
    "created_at",
)
SMALLEST = {Kind.THUMBS: 1, Kind.PAIRWISE: 2, Kind.LISTWISE: 2}
LARGEST = {Kind.THUMBS: 1, Kind.PAIRWISE: 2, Kind.LISTWISE: 20}
MOST_OVERLAP = 50


@dataclass
class CreatedItems:
    """`items` is in the order of the groups, None where nothing could be made."""

    items: list[Item | None] = field(default_factory=list)
    created: int = 0
    existing: int = 0
    # Of the created ones: pairs of equal texts, stored as ties and never shown.
    identical: int = 0
    # Lists that lost responses whose text another response of the list has.
    shortened: int = 0


@dataclass
class _Draft:
    """What one group comes to: its responses in canonical order."""

    responses: list[Response]
    content_key: str
    identical: bool
    shortened: bool


@transaction.atomic
def create_items(
    *,
    project: Project,
    kind: str,
    groups: Sequence[Sequence[Response]],
    overlap: int | None = None,
    priority: int = 0,
    batch: str = "",
    external_ids: Sequence[str] | None = None,
    closed: bool = False,
) -> CreatedItems:
    """An item for each group of responses to one prompt; a group that has its item gets that one.

    Two equal texts are never shown: such a pair is stored as a tie (origin identical, no slots),
    and a list keeps one response of each text, or is refused when fewer than two remain.
    `closed` items wait for nobody until they are opened.
    """
    overlap = project.overlap if overlap is None else overlap
    if not 1 <= overlap <= MOST_OVERLAP:
        raise PrefloopError(f"The overlap is between 1 and {MOST_OVERLAP}.")
    _check_groups(project, kind, groups)
    lock_content(project.pk)
    drafts = [_draft(kind, group) for group in groups]
    names = external_ids or [""] * len(groups)
    known = _known_items(project, drafts)
    result = CreatedItems()
    fresh: dict[str, tuple[Item, _Draft]] = {}
    for draft, name in zip(drafts, names, strict=True):
        if draft is None:
            result.items.append(None)
            continue
        item = known.get(draft.content_key)
        if item is None:
            item = _new_item(project, kind, draft, overlap, priority, batch, name, closed)
            known[draft.content_key] = item
            fresh[draft.content_key] = (item, draft)
        else:
            result.existing += 1
        result.items.append(item)
    _write_items(list(fresh.values()))
    result.created = len(fresh)
    result.identical = sum(draft.identical for _, draft in fresh.values())
    result.shortened = sum(draft.shortened for _, draft in fresh.values())
    return result


def _check_groups(project: Project, kind: str, groups: Sequence[Sequence[Response]]) -> None:
    if kind not in Kind.values:
        raise PrefloopError(f"The kind of an item is one of {', '.join(Kind.values)}.")
    least, most = SMALLEST[Kind(kind)], LARGEST[Kind(kind)]
    prompts: set[int] = set()
    for group in groups:
        prompts.update(response.prompt_id for response in group)
        if len({response.prompt_id for response in group}) > 1:
            raise PrefloopError("The responses of an item answer one prompt.")
        if not least <= len(group) <= most or len({r.pk for r in group}) < len(group):
            wanted = str(least) if least == most else f"{least} to {most}"
            raise PrefloopError(f"A {kind} item needs {wanted} different responses.")
    if Prompt.objects.filter(pk__any=prompts).exclude(project=project).exists():
        raise PrefloopError("Items are made of this project's own responses.")


def _draft(kind: str, group: Sequence[Response]) -> _Draft | None:
    responses = sorted(group, key=lambda response: response.uuid)
    distinct = list({row.content_hash: row for row in reversed(responses)}.values())[::-1]
    equal = len(distinct) < len(responses)
    if kind == Kind.LISTWISE and equal:
        if len(distinct) < SMALLEST[Kind.LISTWISE]:
            return None
        responses = sorted(distinct, key=lambda response: response.uuid)
    return _Draft(
        responses=responses,
        content_key=content_key(kind, responses),
        identical=kind == Kind.PAIRWISE and equal,
        shortened=kind == Kind.LISTWISE and equal,
    )


def content_key(kind: str, responses: Iterable[Response]) -> str:
    """By the responses themselves, not their texts: two models may have written the same."""
    names = sorted(response.uuid.hex for response in responses)
    return hashlib.sha256(" ".join([str(kind), *names]).encode()).hexdigest()


def _known_items(project: Project, drafts: Sequence[_Draft | None]) -> dict[str, Item]:
    keys = {draft.content_key for draft in drafts if draft is not None}
    found = Item.objects.filter(project=project, content_key__any=keys)
    return {item.content_key: item for item in found}


def _new_item(
    project: Project,
    kind: str,
    draft: _Draft,
    overlap: int,
    priority: int,
    batch: str,
    external_id: str,
    closed: bool,
) -> Item:
    slots = 0 if draft.identical else overlap
    origin = Item.Origin.IDENTICAL if draft.identical else Item.Origin.CREATED
    return Item(
        project_id=project.pk,
        prompt_id=draft.responses[0].prompt_id,
        kind=str(kind),
        origin=origin.value,
        overlap=slots,
        open_slots=slots,
        priority=priority,
        rnd=random_key(),
        closed_at=timezone.now() if closed else None,
        batch=batch,
        external_id=external_id,
        content_key=draft.content_key,
    )


def _write_items(fresh: Sequence[tuple[Item, _Draft]]) -> None:
    now = timezone.now()
    for (item, _), key in zip(fresh, new_ids(Item, len(fresh)), strict=True):
        item.pk, item.created_at = key, now
        item._state.adding = False
    copy_rows(Item, ITEM_FIELDS, (_item_row(item, now) for item, _ in fresh))
    copy_integers(
        ItemResponse,
        ("item", "response", "position"),
        (
            (item.pk, response.pk, position)
            for item, draft in fresh
            for position, response in enumerate(draft.responses)
        ),
    )


def _item_row(item: Item, now: datetime) -> tuple[object, ...]:
    return (
        item.pk,
        item.project_id,
        item.prompt_id,
        item.kind,
        item.origin,
        item.overlap,
        item.open_slots,
        item.priority,
        item.rnd,
        False,
        0,
        item.closed_at,
        item.batch,
        item.external_id,
        item.content_key,
        now,
    )


@transaction.atomic
def close_item(*, item: Item, actor: User | None, reason: str = "") -> Item:
    """Takes the item from the queue; leases in progress may finish."""
    closed = Item.objects.filter(pk=item.pk, closed_at=None).update(closed_at=timezone.now())
    return _moved(item, actor, "close_item", closed, reason)


@transaction.atomic
def reopen_item(*, item: Item, actor: User | None, reason: str = "") -> Item:
    """Back into the queue, whether it was closed or held; skips are forgiven."""
    opened = (
        Item.objects.filter(pk=item.pk)
        .exclude(closed_at=None, held_at=None)
        .update(closed_at=None, held_at=None, skips=0)
    )
    return _moved(item, actor, "reopen_item", opened, reason)


@transaction.atomic
def extend_overlap(*, item: Item, by: int, actor: User | None, reason: str = "") -> Item:
    """More people shall judge the item: overlap and open slots grow together.

    Answers that came too late for a slot are counted first, oldest first, before others are asked.
    """
    if by < 1:
        raise PrefloopError("The overlap grows by at least 1.")
    if item.origin == Item.Origin.IDENTICAL:
        raise Conflict("Both texts of this item are equal, so nobody is asked about it.")
    grown = Item.objects.filter(pk=item.pk, overlap__lte=MOST_OVERLAP - by).update(
        overlap=F("overlap") + by, open_slots=F("open_slots") + by
    )
    if not grown:
        raise Conflict(f"An item is judged by at most {MOST_OVERLAP} people.")
    count_surplus(item)
    return _moved(item, actor, "extend_overlap", grown, reason)


def count_surplus(item: Item) -> None:
    """As many as there are free slots; a trigger takes them. The caller has the item locked."""
    most = Item.objects.values_list("open_slots", flat=True).get(pk=item.pk)
    late = Assignment.objects.filter(item=item, takes_slot=True, state=Assignment.State.SURPLUS)
    oldest = late.order_by("finished_at", "pk").values_list("pk", flat=True)[:most]
    late.filter(pk__in=list(oldest)).update(state=Assignment.State.DONE)


def _moved(item: Item, actor: User | None, action: str, moved: int, reason: str) -> Item:
    item.refresh_from_db()
    if moved:
        record_event(
            actor=actor,
            action=action,
            target=item,
            project_id=item.project_id,
            detail={"reason": reason} if reason else {},
        )
    return item


@transaction.atomic
def set_priorities(*, project: Project, priorities: Mapping[int, int]) -> int:
    """Item id to priority, larger is sooner; returns how many items changed."""
    changed = 0
    wanted: dict[int, list[int]] = {}
    for item_id, priority in priorities.items():
        wanted.setdefault(priority, []).append(item_id)
    for priority in sorted(wanted):
        changed += (
            Item.objects.filter(project=project, pk__in=wanted[priority])
            .exclude(priority=priority)
            .update(priority=priority)
        )
    return changed
