"""Projects, the versions of their protocol, and their people."""

from __future__ import annotations

from decimal import Decimal

from rest_framework import serializers

from annotation.models import Kind, Membership, Project, Protocol
from core.api.fields import Choice, Flag, Input, Number, Text, Whole, several


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
            "daily_target",
            "is_demo",
            "created_at",
            "archived_at",
        ]
        read_only_fields = fields


class ManagedProjectOut(ProjectOut):
    """With what labelers are not told: how often the stream measures them."""

    class Meta(ProjectOut.Meta):
        fields = [
            *ProjectOut.Meta.fields,
            "gold_share",
            "probe_share",
            "shows_gold_agreement",
            "judge_budget",
        ]
        read_only_fields = fields


class CriterionIn(Input):
    key = Text(
        required=False,
        max_length=40,
        allow_blank=True,
        help_text="For programs: a–z, 0–9 and _. Left out, it is made of the name.",
    )
    name = Text(max_length=60)
    definition = Text(required=False, max_length=500, allow_blank=True)


class ProtocolIn(Input):
    kinds = serializers.ListField(
        child=Choice(choices=Kind.choices), min_length=1, max_length=len(Kind.choices)
    )
    criteria = several(CriterionIn(), most=10)
    guidelines = Text(
        required=False, default="", allow_blank=True, max_length=100_000, help_text="Markdown."
    )
    reasons = serializers.ListField(
        child=Text(max_length=60), required=False, default=list, max_length=20
    )
    thumbs_reasons = serializers.ListField(
        child=Text(max_length=60),
        required=False,
        default=list,
        max_length=20,
        help_text="For one response alone; empty: the same as `reasons`.",
    )
    pairwise_scale = Choice(
        choices=Protocol.Scale.choices,
        required=False,
        default=Protocol.Scale.STRENGTH,
        help_text="`pick`: only which one is better, stored as 2 or -2, or a tie.",
    )
    comment_min_length = Whole(
        required=False,
        default=0,
        min_value=0,
        max_value=1000,
        help_text="Characters of comment that are asked for.",
    )
    allows_rewrite = Flag(
        required=False, default=True, help_text="Who judges one response may write a better one."
    )


class ProjectIn(ProtocolIn):
    name = Text(max_length=80)
    description = Text(required=False, default="", allow_blank=True, max_length=10_000)
    overlap = Whole(
        required=False,
        default=3,
        min_value=1,
        max_value=50,
        help_text="How many people judge each item.",
    )


class ProjectChange(Input):
    name = Text(required=False, max_length=80)
    description = Text(required=False, allow_blank=True, max_length=10_000)
    overlap = Whole(required=False, min_value=1, max_value=50)
    lease_seconds = Whole(required=False, min_value=30, max_value=7 * 24 * 3600)
    skip_limit = Whole(required=False, min_value=1, max_value=1000)
    daily_target = Whole(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=10_000,
        help_text="Answers a day that labelers are asked for; null: none is named.",
    )
    gold_share = Whole(
        required=False,
        min_value=0,
        max_value=50,
        help_text="Of 100 items handed out, how many are hidden gold.",
    )
    probe_share = Whole(
        required=False,
        min_value=0,
        max_value=30,
        help_text="Of 100 items handed out, how many are own old ones with sides swapped.",
    )
    shows_gold_agreement = Flag(required=False)
    judge_budget = Number(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=999_999,
        help_text="Dollars that runs of judges may spend together; null: none is set.",
    )

    def validate_judge_budget(self, dollars: float | None) -> Decimal | None:
        return None if dollars is None else round(Decimal(str(dollars)), 2)


class CriterionOut(serializers.Serializer[dict[str, str]]):
    key = serializers.CharField()
    name = serializers.CharField()
    definition = serializers.CharField(required=False)


class ProtocolOut(serializers.ModelSerializer[Protocol]):
    kinds = serializers.ListField(child=serializers.ChoiceField(choices=Kind.choices))
    criteria = CriterionOut(many=True)
    reasons = serializers.ListField(child=serializers.CharField())
    thumbs_reasons = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Protocol
        fields = [
            "id",
            "version",
            "guidelines",
            "kinds",
            "criteria",
            "reasons",
            "thumbs_reasons",
            "pairwise_scale",
            "comment_min_length",
            "allows_rewrite",
            "frozen_at",
            "created_at",
        ]
        read_only_fields = fields


class MembershipIn(Input):
    username = Text(max_length=150)
    role = Choice(choices=Membership.Role.choices)


class ReasonIn(Input):
    reason = Text(required=False, default="", allow_blank=True, max_length=200)


class MembershipOut(serializers.ModelSerializer[Membership]):
    username = serializers.CharField(source="user.username", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)

    class Meta:
        model = Membership
        fields = ["id", "username", "name", "role", "state", "state_reason", "created_at"]
        read_only_fields = fields
