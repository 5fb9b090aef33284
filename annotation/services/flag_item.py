"""A labeler's word to the manager about an item."""

from __future__ import annotations

from django.db import transaction

from annotation.messages import storable
from annotation.models import Assignment, Flag, Item
from annotation.services.skip_item import count_against, skip_item
from core.errors import PrefloopError

State = Assignment.State
LONGEST_NOTE = 5000


@transaction.atomic
def flag_item(*, assignment: Assignment, kind: str, note: str = "") -> Flag:
    """A problem takes the item from who flags it; a leaked identity leaves it to be answered.

    Flagged or skipped by enough people, the item leaves the queue and waits for the manager.
    """
    if kind not in Flag.Kind.values:
        raise PrefloopError("Say what is wrong: the item itself, or that it tells who wrote it.")
    note = storable(note, "note").strip()[:LONGEST_NOTE]
    # The item first, as everywhere; a skip locks it again.
    item = Item.objects.select_for_update(no_key=True, of=("self",)).select_related("project")
    found = item.get(pk=assignment.item_id)
    assignment.refresh_from_db(fields=["state"])
    if kind == Flag.Kind.PROBLEM and assignment.state in (State.LEASED, State.EXPIRED):
        skip_item(assignment=assignment, reason=note, flagged=True)
    elif assignment.state != State.SKIPPED:
        count_against(item=found, assignment=assignment)
    flag, made = Flag.objects.get_or_create(
        assignment=assignment, kind=kind, defaults={"note": note}
    )
    if not made and note not in ("", flag.note):
        # What a manager has settled already was something else.
        flag.note, flag.settled_at, flag.settled_by = note, None, None
        flag.save(update_fields=["note", "settled_at", "settled_by"])
    return flag
