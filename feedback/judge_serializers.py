"""What the API gives of judges, and what it takes of their gate."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from core.api.fields import Choice, Input, Number, Whole
from feedback.judge_words import verdict
from feedback.models import JudgeGate
from feedback.selectors.judges import JudgeRow
from feedback.selectors.opposed_items import MOST_MORE


class JudgeCardOut(serializers.Serializer[Any]):
    judge = serializers.IntegerField(source="judge.pk")
    name = serializers.CharField(source="judge.name")
    version = serializers.IntegerField(source="judge.version")
    verdict = serializers.SerializerMethodField(help_text="The card in a sentence.")
    is_open = serializers.BooleanField(help_text="Whether its answers may count.")
    reasons = serializers.SerializerMethodField(help_text="Why the gate is open or closed.")
    measured_at = serializers.DateTimeField(
        source="report.created_at", allow_null=True, default=None
    )
    is_out_of_date = serializers.BooleanField(source="is_behind")
    figures = serializers.JSONField(
        source="report.figures", allow_null=True, default=None,
        help_text="By kind and criterion (`sections`), of its replies, and its cost. Shares lie "
        "in 0..1, with 95 % intervals; a null says why and how to measure it.",
    )  # fmt: skip

    def get_verdict(self, row: JudgeRow) -> str:
        return verdict(row)

    def get_reasons(self, row: JudgeRow) -> list[str]:
        return list(row.standing.reasons) if row.standing else []


class JudgeCardsOut(serializers.Serializer[Any]):
    judges = JudgeCardOut(many=True)


class AskMoreIn(Input):
    more = Whole(min_value=1, max_value=MOST_MORE, help_text="More people for each item.")


class AskedOut(serializers.Serializer[Any]):
    items = serializers.IntegerField(help_text="How many items more people are asked about.")


class GateIn(Input):
    min_items = Whole(min_value=1, max_value=2**31 - 1)
    margin = Number(min_value=0.0, max_value=1.0)
    max_flips = Number(min_value=0.0, max_value=1.0, allow_null=True)
    max_parse_errors = Number(min_value=0.0, max_value=1.0, allow_null=True)
    max_injection = Number(min_value=0.0, max_value=1.0, allow_null=True)
    must_measure = serializers.ListField(
        child=Choice(choices=JudgeGate.Measured.choices),
        max_length=3,
        help_text="Figures without which the gate stays closed.",
    )
    from_version = Whole(
        min_value=0, max_value=2**31 - 1, help_text="The version that you have read."
    )


class GateOut(serializers.ModelSerializer[JudgeGate]):
    must_measure = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = JudgeGate
        fields = [
            "version",
            "min_items",
            "margin",
            "max_flips",
            "max_parse_errors",
            "max_injection",
            "must_measure",
            "created_at",
        ]
        read_only_fields = fields
