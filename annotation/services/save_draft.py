"""Keeps what was chosen and written but not sent, for another device or after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.messages import MAX_CHARACTERS, storable
from annotation.models import Assignment, Draft
from core.errors import PrefloopError

MOST_FIELDS = 300
OLDEST = timedelta(days=30)


@transaction.atomic
def save_draft(
    *, assignment: Assignment, values: Any, revision: int, age: timedelta = timedelta()
) -> Draft | None:
    """`revision` of the answer that the draft starts from, 0 for none; `age`, of what was typed.
    Without any values, what was kept is given up.

    None: the item was answered meanwhile, or something newer is kept already.
    """
    fields = _checked(values)
    saved_at = timezone.now() - max(timedelta(), min(age, OLDEST))
    # A submit changes this row before it deletes the draft, so that none is left behind.
    locked = Assignment.objects.select_for_update(no_key=True).get(pk=assignment.pk)
    # Not joined: after a wait, the join would still hold what stood there before it.
    if (locked.current.revision if locked.current else 0) != revision:
        return None
    if not fields:
        Draft.objects.filter(pk=locked.pk, saved_at__lte=saved_at).delete()
        return None
    draft, made = Draft.objects.get_or_create(
        assignment=locked, defaults={"values": fields, "saved_at": saved_at}
    )
    if made:
        return draft
    newer = Draft.objects.filter(pk=locked.pk, saved_at__lte=saved_at)
    if not newer.update(values=fields, saved_at=saved_at):
        return None
    draft.refresh_from_db()
    return draft


def _checked(values: Any) -> list[list[str]]:
    """Names and values as a form sends them."""
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) > MOST_FIELDS:
        raise PrefloopError(f"A draft is a list of at most {MOST_FIELDS} fields.")
    fields = [_checked_field(field) for field in values]
    if sum(len(value) for _, value in fields) > MAX_CHARACTERS:
        raise PrefloopError(f"A draft has at most {MAX_CHARACTERS:,} characters.")
    return fields


def _checked_field(field: Any) -> list[str]:
    if not isinstance(field, list) or len(field) != 2:
        raise PrefloopError("Each field of a draft is a name and a value.")
    return [storable(text, "draft") for text in field]
