"""What goes into a snapshot: decided preferences as records, in one fixed order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Case, CharField, Count, Exists, F, OuterRef, Q, QuerySet, Value, When

from annotation.models import (
    Assignment,
    Item,
    ItemResponse,
    Judgment,
    Project,
    Prompt,
    Response,
    Rewrite,
    Side,
)
from annotation.selectors.judge import REFERENCE_TAG
from feedback.models import Preference
from feedback.selectors.preferences import preferences_of
from feedback.shapes import Record
from feedback.tags import tag_names

CHUNK = 1_000
State = Preference.State

# Why a preference stays out; the first that holds is the one that is counted.
LEFT_OUT = {
    "closed": "are closed with fewer judgments than the policy asks for",
    "waiting": "wait for more judgments",
    "contested": "are contested and not adjudicated",
    "excluded": "were excluded by a reviewer",
    "identical": "compare two equal texts",
    "withdrawn": "have a prompt or response that was withdrawn",
    "neither": "have a prompt that is close to prompts of both sides",
}


def with_reason(project: Project) -> QuerySet[Any]:
    """Newest preferences, each with `left_out`: why it stays out, or nothing."""
    gone = ItemResponse.objects.filter(item=OuterRef("item"), response__withdrawn_at__isnull=False)
    withdrawn = Q(item__prompt__withdrawn_at__isnull=False) | Q(Exists(gone))
    is_closed = Q(state=State.WAITING, item__closed_at__isnull=False)
    reasons = [
        When(is_closed, then=Value("closed")),
        When(state__in=["waiting", "contested", "excluded"], then="state"),
        When(item__origin=Item.Origin.IDENTICAL, then=Value("identical")),
        When(withdrawn, then=Value("withdrawn")),
        When(item__prompt__side=Side.NEITHER, then=Value("neither")),
    ]
    case = Case(*reasons, default=Value(""), output_field=CharField())
    return preferences_of(project).annotate(left_out=case)


def count_left_out(project: Project) -> dict[str, int]:
    rows = with_reason(project).exclude(left_out="").values_list("left_out")
    return dict(sorted(rows.annotate(Count("pk"))))


def count_sides(project: Project) -> dict[str, int]:
    """How many records each side would have."""
    rows = with_reason(project).filter(left_out="").values_list("item__prompt__side")
    return {Side.TRAIN.value: 0, Side.HELD_OUT.value: 0, **dict(rows.annotate(Count("pk")))}


def usable_ids(project: Project) -> list[int]:
    """Preferences never change, so that these ids are a consistent view of the moment."""
    rows = with_reason(project).filter(left_out="").order_by("item_id", "criterion")
    return list(rows.values_list("pk", flat=True))


def records(preference_ids: Sequence[int]) -> Iterator[Record]:
    """In the order given, read a thousand at a time."""
    for start in range(0, len(preference_ids), CHUNK):
        ids = preference_ids[start : start + CHUNK]
        rows = Preference.objects.select_related("item__prompt", "policy").in_bulk(ids)
        items = {row.item_id for row in rows.values()}
        responses, rewrites = _responses(items), _rewrites(items)
        protocols = _protocols({key for row in rows.values() for key in row.judgment_ids})
        for pk in ids:
            row = rows[pk]
            versions = {protocols[key] for key in row.judgment_ids}
            record = _record(row, responses[row.item_id], max(versions, default=None))
            # Whom the policy leaves out has no say here either.
            counted = [
                one for one in rewrites.get(row.item_id, ()) if one["judgment"] in row.judgment_ids
            ]
            yield {**record, "rewrites": counted} if counted else record


def _responses(item_ids: set[int]) -> dict[int, list[dict[str, Any]]]:
    rows = (
        ItemResponse.objects.filter(item__in=item_ids)
        .select_related("response__generator")
        .order_by("item_id", "position")
    )
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row.item_id, []).append(_response(row.response))
    return found


def _response(response: Response) -> dict[str, Any]:
    return {
        "id": str(response.uuid),
        "generator": response.generator.name,
        "messages": response.messages,
    }


def _rewrites(item_ids: set[int]) -> dict[int, list[dict[str, Any]]]:
    """What stands in the newest answers that count; an older revision's rewrite was taken back."""
    rows = (
        Rewrite.objects.filter(
            judgment__assignment__item__in=item_ids,
            judgment__assignment__occasion=Assignment.MAIN,
            judgment__assignment__state=Assignment.State.DONE,
            judgment__assignment__current=F("judgment"),
            response__withdrawn_at=None,
        )
        .select_related("response__generator", "judgment__assignment")
        .order_by("pk")
    )
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row.judgment.assignment.item_id, []).append(
            {**_response(row.response), "judgment": row.judgment_id}
        )
    return found


def _protocols(judgment_ids: set[int]) -> dict[int, int]:
    rows = Judgment.objects.filter(pk__in=judgment_ids)
    return dict(rows.values_list("pk", "protocol__version"))


def _record(row: Preference, responses: list[dict[str, Any]], protocol: int | None) -> Record:
    item, prompt = row.item, row.item.prompt
    return {
        "id": f"{item.pk}:{row.criterion}",
        "kind": item.kind,
        "criterion": row.criterion,
        "side": prompt.side,
        "prompt_id": prompt.pk,
        "prompt": prompt.messages,
        **_reference(prompt),
        "tags": list(tag_names(prompt.tags)),
        "responses": responses,
        "outcome": row.outcome,
        "state": row.state,
        "probabilities": row.probabilities,
        "support": {"people": row.support_people, "judges": row.support_judges},
        "preference": row.pk,
        "judgments": row.judgment_ids,
        "adjudication": row.adjudication_id,
        "policy": row.policy.version,
        # The newest version under which it was judged.
        "protocol": protocol,
    }


def _reference(prompt: Prompt) -> dict[str, str]:
    """The reference answer, where an import gave one."""
    value = prompt.tags.get(REFERENCE_TAG)
    words = json.dumps(value) if isinstance(value, bool | int | float) else value
    return {"reference": words} if isinstance(words, str) and words.strip() else {}
