"""Judges and items as the pure library of judging wants them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date

from django.db import connection
from django.utils import timezone

from annotation.judging.content import Criterion, ItemContent
from annotation.judging.protocol import JudgeSpec, check_spec
from annotation.judging.settings import JudgeSettings
from annotation.models import Item, Judge, Kind, Price, Project, Protocol, Provider
from core.errors import PrefloopError

# The tag of a prompt that holds its reference answer, where an import gave one.
REFERENCE_TAG = "reference"


def spec_of(judge: Judge) -> JudgeSpec:
    return JudgeSpec(
        protocol=judge.protocol,
        protocol_version=judge.protocol_version,
        template=judge.template,
        settings=JudgeSettings.from_dict(judge.settings),
        model_name=judge.model_name,
    )


def kinds_of(spec: JudgeSpec) -> list[str]:
    """What it can judge."""
    return [kind for kind in Kind.values if not check_spec(spec, kind)]


def judge_key(judge: Judge) -> str:
    """What stands for a judge's version in the keys of its calls."""
    return f"{judge.pk}:{judge.content_key}"


def provider_of(judge: Judge) -> Provider:
    """Whom it asks; refuses a judge that cannot be asked, or not any more."""
    if judge.model is None:
        raise PrefloopError(f"{judge} came with a data set and cannot be asked.")
    provider = judge.model.provider
    if provider.retired_at is not None:
        raise PrefloopError(
            f"{provider} was retired, so {judge} cannot be asked. Make its next version with "
            "another model, or ask an admin to take the provider into use again."
        )
    return provider


def has_one_order(judge: Judge) -> bool:
    """Whether it saw the responses of an item in one order, which its judgments then have."""
    if judge.origin == Judge.Origin.IMPORTED:
        return True
    spec = spec_of(judge)
    return not (spec.settings.both_orders or spec.texts.one_by_one)


def criteria_of(protocol: Protocol) -> tuple[Criterion, ...]:
    return tuple(
        Criterion(one["key"], one["name"], one.get("definition", "")) for one in protocol.criteria
    )


def content_of(item: Item) -> ItemContent:
    return contents_of(item.project, [item.pk])[item.pk]


_CONTENTS = """
SELECT item.id, item.kind, prompt.messages, prompt.tags ->> %s,
    jsonb_agg(response.messages ORDER BY placed.position)
FROM annotation_item item
JOIN annotation_prompt prompt ON prompt.id = item.prompt_id
JOIN annotation_itemresponse placed ON placed.item_id = item.id
JOIN annotation_response response ON response.id = placed.response_id
WHERE item.id = ANY(%s)
GROUP BY item.id, prompt.id
"""


def contents_of(
    project: Project, items: Sequence[int], protocol: Protocol | None = None
) -> dict[int, ItemContent]:
    """By the item's number, all of them in one query; under the protocol in force, or this one."""
    protocol = protocol or project.protocol
    criteria = criteria_of(protocol)
    picks = protocol.pairwise_scale == Protocol.Scale.PICK
    with connection.cursor() as cursor:
        cursor.execute(_CONTENTS, [REFERENCE_TAG, list(items)])
        rows = cursor.fetchall()
    return {
        number: ItemContent(
            kind=kind,
            prompt=tuple(json.loads(prompt)),
            responses=tuple(tuple(messages) for messages in json.loads(responses)),
            criteria=criteria,
            reference=reference or "",
            guidelines=protocol.guidelines,
            picks=picks,
        )
        for number, kind, prompt, reference, responses in rows
    }


def price_of(judge: Judge, on: date | None = None) -> Price | None:
    """The newest that holds on that day; None: no price is known."""
    if judge.model_id is None:
        return None
    on = on or timezone.now().date()
    prices = Price.objects.filter(model_id=judge.model_id, valid_from__lte=on)
    return prices.order_by("-valid_from").first()


def find_judge(project: Project, name: str) -> Judge:
    """`name`, or `name v2`; without a version the newest."""
    words, _, version = name.rpartition(" v")
    judges = Judge.objects.filter(project=project, origin=Judge.Origin.CONFIGURED)
    found = judges.filter(name=name).order_by("-version").first()
    if found is None and words and version.isdecimal():
        found = judges.filter(name=words, version=int(version)).first()
    if found is None:
        raise PrefloopError(f"“{project}” has no judge called “{name}”.")
    return found
