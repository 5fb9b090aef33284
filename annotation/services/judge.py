"""Judges whose verdicts come from a file: known by name, never asked again."""

from __future__ import annotations

from annotation.models import Judge
from core.errors import Conflict


def import_judge(*, name: str, model_name: str, family: str = "") -> Judge:
    """The imported judge of this name; a judge that was configured here keeps its name."""
    judge, _ = Judge.objects.get_or_create(
        name=name,
        version=1,
        defaults={
            "origin": Judge.Origin.IMPORTED,
            "model_name": model_name,
            "family": family,
        },
    )
    if judge.origin != Judge.Origin.IMPORTED:
        raise Conflict(f"A judge of this instance is called {name}. Import under another name.")
    return judge
