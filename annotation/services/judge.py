"""Judges whose verdicts come from a file: known by name, never asked again."""

from __future__ import annotations

from annotation.models import Judge


def import_judge(*, name: str, model_name: str, family: str = "") -> Judge:
    """The imported judge of this name; one that was configured here keeps its name to itself."""
    judge, _ = Judge.objects.filter(origin=Judge.Origin.IMPORTED).get_or_create(
        name=name,
        origin=Judge.Origin.IMPORTED,
        defaults={"model_name": model_name, "family": family, "version": 1},
    )
    return judge
