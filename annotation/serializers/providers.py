"""Providers, their models, and what those cost."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from annotation.models import Price, Provider, ProviderModel
from core.api.fields import Input, Number, Text, Whole

MOST = 2_000_000_000


class ProviderFields(Input):
    requests_per_minute = Whole(
        required=False, allow_null=True, min_value=1, max_value=MOST, help_text="Null: no limit."
    )
    tokens_per_minute = Whole(
        required=False, allow_null=True, min_value=1, max_value=MOST, help_text="Null: no limit."
    )
    concurrency = Whole(
        required=False, min_value=1, max_value=1_000, help_text="Calls that a worker has out."
    )
    timeout_seconds = Whole(required=False, min_value=1, max_value=600)


class ProviderIn(ProviderFields):
    name = Text(max_length=100)
    base_url = Text(max_length=300, help_text="Of an endpoint that speaks OpenAI's protocol.")
    key = Text(
        required=False, default="", allow_blank=True, max_length=1_000,
        help_text="Stored encrypted, sent to this address only, and never shown.",
    )  # fmt: skip


class ProviderChange(ProviderFields):
    name = Text(required=False, max_length=100)
    base_url = Text(required=False, max_length=300, help_text="Another origin clears the key.")


class KeyIn(Input):
    key = Text(allow_blank=True, max_length=1_000, help_text="Empty: the stored one is erased.")


class ModelIn(Input):
    name = Text(max_length=150)
    family = Text(required=False, default="", allow_blank=True, max_length=100)


class PriceIn(Input):
    valid_from = serializers.DateField(required=False, allow_null=True, help_text="Default: today.")
    input_per_million = Number(min_value=0, max_value=999_999)
    output_per_million = Number(min_value=0, max_value=999_999)


class ModelOut(serializers.ModelSerializer[ProviderModel]):
    provider = serializers.CharField(source="provider.name", read_only=True)
    can = serializers.DictField(
        read_only=True, help_text="What a probe found; empty before the first."
    )

    class Meta:
        model = ProviderModel
        fields = ["id", "provider", "name", "family", "can", "probed_at", "probe_error"]
        read_only_fields = fields


class PriceOut(serializers.ModelSerializer[Price]):
    class Meta:
        model = Price
        fields = ["id", "valid_from", "input_per_million", "output_per_million", "created_at"]
        read_only_fields = fields


class ProviderOut(serializers.ModelSerializer[Provider]):
    has_key = serializers.SerializerMethodField()
    key_ends_in = serializers.SerializerMethodField()
    open_until = serializers.DateTimeField(
        source="state.open_until", read_only=True, allow_null=True, default=None,
        help_text="After failures in a row it is not asked before.",
    )  # fmt: skip
    last_error = serializers.SerializerMethodField()
    models = ModelOut(many=True, read_only=True)

    class Meta:
        model = Provider
        fields = [
            "id", "name", "base_url", "has_key", "key_ends_in", "concurrency",
            "requests_per_minute", "tokens_per_minute", "timeout_seconds", "open_until",
            "last_error", "models", "created_at", "retired_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_last_error(self, provider: Provider) -> str:
        """One that was never asked has no state yet."""
        state = getattr(provider, "state", None)
        return state.last_error if state is not None else ""

    def get_has_key(self, provider: Provider) -> bool:
        return provider.secret is not None

    def get_key_ends_in(self, provider: Provider) -> str:
        return provider.secret.last_four if provider.secret is not None else ""


class OfferedOut(serializers.Serializer[Any]):
    names = serializers.ListField(child=serializers.CharField())
