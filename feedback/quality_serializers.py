"""What the API gives of labelers' quality."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from feedback.selectors.labelers import Labeler


class FigureOut(serializers.Serializer[Any]):
    """Null where there is too little data."""

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    answers = serializers.IntegerField(help_text="What it rests on; a list counts once.")
    clusters = serializers.IntegerField(help_text="On how many prompts or items these lie.")
    chance = serializers.FloatField(required=False, allow_null=True)
    lower_quartile = serializers.FloatField(required=False, allow_null=True)
    upper_quartile = serializers.FloatField(required=False, allow_null=True)
    others = serializers.FloatField(required=False, allow_null=True)
    run = serializers.IntegerField(required=False)
    run_chance = serializers.FloatField(required=False, allow_null=True)


class LabelerOut(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="annotator.pk")
    uuid = serializers.UUIDField(source="annotator.uuid")
    weight = serializers.FloatField(help_text="Under the policy in force; 0 is left out.")
    answers = serializers.IntegerField(source="record.answers")
    skipped = serializers.IntegerField(source="record.skipped")
    concerns = serializers.SerializerMethodField(help_text="Why somebody should look.")
    figures = serializers.DictField(child=FigureOut())

    def get_concerns(self, labeler: Labeler) -> list[str]:
        return [concern.words for concern in labeler.concerns]


class QualityOut(serializers.Serializer[Any]):
    as_of = serializers.DateTimeField()
    level = serializers.FloatField(help_text="Of the intervals.")
    minimum = serializers.IntegerField(help_text="Under so many answers a figure is null.")
    labelers = LabelerOut(many=True)
