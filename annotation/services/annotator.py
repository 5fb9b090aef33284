"""Get-or-create of whoever judges. Race-safe: the database's unique constraints decide."""

from __future__ import annotations

from annotation.models import Annotator, Judge
from core.models import User


def annotator_for_user(*, user: User) -> Annotator:
    return Annotator.objects.get_or_create(user=user)[0]


def annotator_for_judge(*, judge: Judge) -> Annotator:
    return Annotator.objects.get_or_create(judge=judge)[0]


def annotator_for_worker(*, source: str, external_id: str) -> Annotator:
    """A worker of an imported data set; the pseudonym hides the id that the data set gives."""
    return Annotator.objects.get_or_create(source=source, external_id=external_id)[0]
