"""Changes one's own answer: a new revision; the old one stays on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import transaction

from annotation.answers import AnswerValue
from annotation.models import Assignment, Judgment, Protocol
from annotation.services.submit_judgment import submit_judgment
from core.errors import Conflict


@transaction.atomic
def revise_judgment(
    *,
    assignment: Assignment,
    client_key: str,
    answers: Mapping[str, AnswerValue],
    comment: str = "",
    reasons: Sequence[str] = (),
    rewrite: str = "",
    duration_ms: int | None = None,
    active_ms: int | None = None,
    origin: str = Judgment.Origin.WEB,
    protocol: Protocol | None = None,
) -> Judgment:
    if assignment.current_id is None:
        raise Conflict("There is no answer to change yet.")
    return submit_judgment(
        assignment=assignment,
        client_key=client_key,
        answers=answers,
        comment=comment,
        reasons=reasons,
        rewrite=rewrite,
        duration_ms=duration_ms,
        active_ms=active_ms,
        origin=origin,
        protocol=protocol,
    )
