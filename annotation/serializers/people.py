"""Invitations, and what one has answered oneself."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from annotation.answers import AnswerValue, to_shown
from annotation.models import Assignment, Invitation, Kind, Membership
from annotation.selectors.invitation import why_closed
from annotation.serializers.content import LARGEST_ID
from annotation.serializers.judging import ShownAnswerOut
from annotation.services.invitation import DAYS, MOST_DAYS, MOST_USES
from core.api.fields import Choice, Input, Text, Whole


class InvitationIn(Input):
    role = Choice(choices=Membership.Role.choices)
    most_uses = Whole(
        required=False, default=1, min_value=1, max_value=MOST_USES,
        help_text="How many people it serves; one, for a manager.",
    )  # fmt: skip
    days = Whole(required=False, default=DAYS, min_value=1, max_value=MOST_DAYS)
    note = Text(required=False, default="", allow_blank=True, max_length=100)


class InvitationOut(serializers.ModelSerializer[Invitation]):
    closed = serializers.SerializerMethodField(
        help_text="Why it cannot be used any more; empty while it can."
    )

    class Meta:
        model = Invitation
        fields = [
            "id", "role", "note", "uses", "most_uses", "created_at", "expires_at", "revoked_at",
            "closed",
        ]  # fmt: skip
        read_only_fields = fields

    def get_closed(self, invitation: Invitation) -> str:
        return why_closed(invitation)


class NewInvitationOut(InvitationOut):
    link = serializers.SerializerMethodField(help_text="Shown here, once, and kept nowhere.")

    class Meta(InvitationOut.Meta):
        fields = [*InvitationOut.Meta.fields, "link"]
        read_only_fields = fields

    def get_link(self, invitation: Invitation) -> str:
        return str(self.context["link"])


class OwnJudgmentFilters(serializers.Serializer[Any]):
    project = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)
    kind = serializers.ChoiceField(choices=Kind.choices, required=False)


class OwnJudgmentOut(serializers.ModelSerializer[Assignment]):
    """Blind as the labeling page: answers are in the order shown."""

    project = serializers.IntegerField(source="item.project_id", read_only=True)
    kind = serializers.ChoiceField(source="item.kind", choices=Kind.choices, read_only=True)
    answers = serializers.SerializerMethodField()
    reasons = serializers.ListField(
        source="current.reasons", child=serializers.CharField(), read_only=True
    )
    revision = serializers.IntegerField(source="current.revision", read_only=True)
    active_ms = serializers.IntegerField(
        source="current.active_ms", read_only=True, allow_null=True
    )
    duration_ms = serializers.IntegerField(
        source="current.duration_ms", read_only=True, allow_null=True
    )
    changed_at = serializers.DateTimeField(source="current.created_at", read_only=True)

    class Meta:
        model = Assignment
        fields = [
            "id", "project", "kind", "answers", "reasons", "revision", "active_ms", "duration_ms",
            "finished_at", "changed_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_answers(self, assignment: Assignment) -> dict[str, dict[str, Any]]:
        given = assignment.current.answers.all() if assignment.current else []
        return {
            one.criterion: ShownAnswerOut(
                to_shown(AnswerValue.of(one), assignment.shown_order)
            ).data
            for one in given
        }
