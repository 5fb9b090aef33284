"""Free text about promotions goes with who wrote it; the promotions stay."""

from __future__ import annotations

from core.forgetting import erases_words
from core.models import User
from training.models import Promotion


@erases_words
def erase_notes(user: User) -> None:
    Promotion.objects.filter(by=user).exclude(note="").update(note="")
