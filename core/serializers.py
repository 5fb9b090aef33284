"""What the API tells of jobs and tokens."""

from __future__ import annotations

from rest_framework import serializers

from core.models import ApiToken, Job


class JobOut(serializers.ModelSerializer[Job]):
    """Work in the background: ask again until `is_over`."""

    message = serializers.SerializerMethodField()
    share_done = serializers.FloatField(allow_null=True, read_only=True)
    seconds_left = serializers.FloatField(allow_null=True, read_only=True)
    is_over = serializers.BooleanField(read_only=True)
    result = serializers.DictField(read_only=True)

    class Meta:
        model = Job
        fields = [
            "id",
            "kind",
            "queue",
            "project_id",
            "state",
            "is_over",
            "share_done",
            "seconds_left",
            "message",
            "result",
            "error",
            "attempts",
            "created_at",
            "started_at",
            "finished_at",
            "cancel_requested_at",
        ]
        read_only_fields = fields

    def get_message(self, job: Job) -> str:
        return str(job.progress.get("message", ""))


class JobFilters(serializers.Serializer[Job]):
    kind = serializers.CharField(required=False, max_length=60)
    state = serializers.ChoiceField(choices=Job.State.choices, required=False)


class TokenOut(serializers.ModelSerializer[ApiToken]):
    """Of the token itself only its beginning is known."""

    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=ApiToken.Scope.choices), read_only=True
    )
    is_live = serializers.BooleanField(read_only=True)

    class Meta:
        model = ApiToken
        fields = [
            "id",
            "name",
            "hint",
            "scopes",
            "is_live",
            "created_at",
            "expires_at",
            "last_used_at",
            "revoked_at",
        ]
        read_only_fields = fields
