"""What a call asked: made again from what its row has kept, where that is still there."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from annotation.judging.asking import next_request
from annotation.judging.exchange import Chain, Reply
from annotation.judging.keys import call_key, nonce
from annotation.models import JudgeCall
from annotation.selectors.judge import contents_of, judge_key
from annotation.services.judge_source import protocol_of, spec_for


def messages_asked(call: JudgeCall) -> list[dict[str, Any]] | None:
    """None where its texts are other ones by now, or were never an item's (canaries, rewards)."""
    if call.item_id is None:
        return None
    run, (purpose, _, stage) = call.run, call.purpose.partition("/")
    content = contents_of(run.project, [call.item_id], protocol_of(run)).get(call.item_id)
    if content is None or content.content_hash() != call.parameters.get("content"):
        return None
    chain, known = Chain(tuple(call.shown_order), call.sample_index), _replies_before(call)
    key = call_key(
        judge_key=judge_key(call.judge),
        content_hash=content.content_hash(),
        chain=chain,
        purpose=purpose,
        attempt=1,
    )
    mark, spec = nonce(settings.SECRET_KEY.encode(), key), spec_for(run)
    replies: dict[str, Reply] = {}
    while (request := next_request(spec, content, chain, replies, nonce=mark)) is not None:
        if request.stage == stage:
            return request.messages
        if request.stage not in known:
            return None
        replies[request.stage] = known[request.stage]
    return None


def _replies_before(call: JudgeCall) -> dict[str, Reply]:
    purpose = call.purpose.partition("/")[0]
    rows = JudgeCall.objects.filter(
        judge=call.judge_id,
        item=call.item_id,
        shown_order=call.shown_order,
        sample_index=call.sample_index,
        purpose__startswith=f"{purpose}/",
        state=JudgeCall.State.DONE,
        pk__lt=call.pk,
    ).order_by("pk")
    return {row.purpose.partition("/")[2]: Reply.from_json(row.reply) for row in rows}
