"""What an import takes; `docs/import.md` describes the rows."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from core.api.fields import Input, Object

# Formats of one file of lines; those of several files come by the browser or the command.
FORMATS = ["jsonl", "pairs"]
LABEL = "Names the source, so that its annotators are told from those of other imports."


class ImportIn(Input):
    rows = serializers.ListField(child=Object(), min_length=1, max_length=20_000)


class ImportOptions(serializers.Serializer[Any]):
    """In the query, whatever the form of the body."""

    format = serializers.ChoiceField(choices=FORMATS, required=False, default="jsonl")
    label = serializers.CharField(  # type: ignore[assignment]
        required=False, default="api", max_length=80, help_text=LABEL
    )
    dry_run = serializers.BooleanField(
        required=False, default=False, help_text="Only report what would be done."
    )
    keep_open = serializers.BooleanField(
        required=False, default=False, help_text="Ask labelers about judged items as well."
    )
    hide_gold = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Use rows with a known answer as hidden gold, rather than as ordinary items.",
    )
