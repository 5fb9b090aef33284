"""What a judge was asked about items before, for a run that asks again."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db import connection

from annotation.judging.content import ItemContent
from annotation.judging.exchange import Chain, Reply
from annotation.models import Judge

# By the verdict, not by the calls' item: equal texts of two items share their calls.
_CALLS = """
SELECT verdict.item_id, call.id, call.purpose, call.shown_order, call.sample_index, call.attempt,
    CASE WHEN call.state = 'done' THEN call.reply END, call.parameters ->> 'content'
FROM annotation_judgeverdict verdict JOIN annotation_judgecall call ON call.id = ANY(verdict.calls)
WHERE verdict.judge_id = %s AND verdict.item_id = ANY(%s) AND verdict.purpose = %s
  AND verdict.run_id <> %s
ORDER BY call.attempt
"""


class Answered(NamedTuple):
    call: int
    reply: Reply


@dataclass
class Before:
    """The last attempt that the item's verdict names, and the answers to its texts as they are."""

    last_attempt: int = 0
    answered: dict[Chain, dict[str, Answered]] = field(default_factory=lambda: defaultdict(dict))


def asked_before(
    judge: Judge, contents: Mapping[int, ItemContent], *, purpose: str, run: int
) -> dict[int, Before]:
    """By item; those of which another run has a verdict."""
    with connection.cursor() as cursor:
        cursor.execute(_CALLS, [judge.pk, list(contents), purpose, run])
        rows = cursor.fetchall()
    found: dict[int, Before] = defaultdict(Before)
    for item, call, named, order, sample, attempt, reply, content_hash in rows:
        before = found[item]
        before.last_attempt = attempt
        if reply is not None and content_hash == contents[item].content_hash():
            stage = named.partition("/")[2]
            answer = Answered(call, Reply.from_json(json.loads(reply)))
            before.answered[Chain(tuple(order), sample)][stage] = answer
    return found
