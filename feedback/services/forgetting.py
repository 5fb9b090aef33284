"""Free text about decisions goes with who wrote it; the decisions stay."""

from __future__ import annotations

from core.forgetting import erases_words
from core.models import User
from feedback.models import Adjudication


@erases_words
def erase_notes(user: User) -> None:
    Adjudication.objects.filter(adjudicator=user).exclude(note="").update(note="")
