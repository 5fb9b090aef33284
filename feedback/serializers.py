"""What the API takes and gives. Inputs and outputs are apart, with every field named."""

from __future__ import annotations

from rest_framework import serializers

from feedback.models import Snapshot


class SnapshotOut(serializers.ModelSerializer[Snapshot]):
    class Meta:
        model = Snapshot
        fields = ["id", "version", "note", "content_hash", "created_at", "replaced_by"]
