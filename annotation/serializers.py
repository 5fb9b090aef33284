"""What the API takes and gives. Inputs and outputs are apart, with every field named."""

from __future__ import annotations

from rest_framework import serializers

from annotation.models import Project


class ProjectOut(serializers.ModelSerializer[Project]):
    class Meta:
        model = Project
        fields = [
            "id",
            "name",
            "description",
            "overlap",
            "lease_seconds",
            "skip_limit",
            "is_demo",
            "created_at",
            "archived_at",
        ]
