"""The queue in numbers, and the rules that pause people."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from annotation.models import PauseRule
from annotation.work_plots import pace_sentence
from core.api.fields import Choice, Input, Number, Whole, several


class PaceOut(serializers.Serializer[Any]):
    period = serializers.ChoiceField(choices=["day", "hour"])
    periods = serializers.IntegerField(help_text="How many were looked at.")
    mean = serializers.FloatField(help_text="Judgments a period.")
    low = serializers.FloatField(help_text="Of a 95 % interval.")
    high = serializers.FloatField(help_text="Of a 95 % interval.")


class WorkOut(serializers.Serializer[Any]):
    open_items = serializers.IntegerField()
    judgments_left = serializers.IntegerField(source="remaining")
    judged_today = serializers.IntegerField(source="today")
    judged_in_24_hours = serializers.IntegerField(source="last_hours")
    pace = PaceOut(allow_null=True, help_text="Null while too little was judged to tell.")
    in_words = serializers.SerializerMethodField()

    def get_in_words(self, throughput: Any) -> str:
        return pace_sentence(throughput)


class PauseRuleIn(Input):
    signal = Choice(choices=PauseRule.Signal.choices)
    threshold = Number(min_value=0, help_text="A share between 0 and 1, or seconds.")
    window = Whole(
        required=False,
        default=20,
        min_value=5,
        max_value=1000,
        help_text="How many of the newest judgments are looked at, and needed.",
    )


class PauseRulesIn(Input):
    rules = several(PauseRuleIn(), least=0, most=len(PauseRule.Signal.values))


class PauseRuleOut(serializers.ModelSerializer[PauseRule]):
    class Meta:
        model = PauseRule
        fields = ["signal", "threshold", "window"]
        read_only_fields = fields
