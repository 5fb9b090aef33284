"""What the API takes and gives. Inputs and outputs are apart, with every field named."""

from __future__ import annotations

from rest_framework import serializers

from training.models import ModelVersion


class VersionOut(serializers.ModelSerializer[ModelVersion]):
    class Meta:
        model = ModelVersion
        fields = ["id", "number", "run", "created_at"]
