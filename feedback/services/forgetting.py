"""Free text about decisions and snapshots goes with who wrote it; they themselves stay."""

from __future__ import annotations

from core.forgetting import erases_words
from core.models import Job, User
from feedback.models import Adjudication, Snapshot


@erases_words
def erase_notes(user: User) -> None:
    Adjudication.objects.filter(adjudicator=user).exclude(note="").update(note="")
    Snapshot.objects.filter(created_by=user).exclude(note="").update(note="")
    # The job of a freeze keeps what it was asked with.
    asked = Job.objects.filter(created_by=user, kind="freeze_snapshot", args__has_key="note")
    asked.update(args={"note": ""})
