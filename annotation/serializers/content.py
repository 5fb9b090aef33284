"""Prompts, responses, what wrote them, and items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation.messages import (
    MAX_CHARACTERS,
    MAX_MESSAGES,
    MAX_TOOL_CALLS,
    ROLES,
    Messages,
    checked_prompt,
    checked_response,
)
from annotation.models import Generator, Item, ItemResponse, Kind, Prompt, Response, Side
from annotation.selectors.content import STATES
from core.api.fields import Choice, Flag, Input, Object, Text, Whole, several
from core.errors import PrefloopError

TOOL_CALL = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "type": {"type": "string", "enum": ["function"]},
        "function": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "arguments": {"type": "string", "description": "JSON, as text."},
            },
            "required": ["name", "arguments"],
        },
    },
    "required": ["function"],
}
MESSAGES = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_MESSAGES,
    "items": {
        "type": "object",
        "properties": {
            "role": {"type": "string", "enum": list(ROLES)},
            "content": {"type": "string", "description": f"At most {MAX_CHARACTERS:,} characters."},
            "tool_calls": {
                "type": "array",
                "maxItems": MAX_TOOL_CALLS,
                "items": TOOL_CALL,
                "description": "Of an assistant's message: the tools that it calls.",
            },
            "name": {"type": "string", "description": "Of a tool's message: the tool."},
            "tool_call_id": {"type": "string", "description": "Which call a tool answers."},
        },
        "required": ["role", "content"],
    },
}
TEXT_OR_MESSAGES = {"oneOf": [{"type": "string"}, MESSAGES]}
LARGEST_ID = 2**63 - 1


class _MessagesField(serializers.Field[Messages, Any, Any, Any]):
    """A text, or chat messages."""

    check: Callable[[Any, str], Messages]

    def to_internal_value(self, data: Any) -> Messages:
        try:
            return type(self).check(data, "")
        except PrefloopError as error:
            where = str(error.fields.get("field", ""))
            problem = f"{where} {error.message}".strip()
            raise serializers.ValidationError(problem) from error

    def to_representation(self, value: Messages) -> Messages:
        return value


@extend_schema_field(TEXT_OR_MESSAGES)
class PromptMessages(_MessagesField):
    check = staticmethod(checked_prompt)


@extend_schema_field(TEXT_OR_MESSAGES)
class ResponseMessages(_MessagesField):
    check = staticmethod(checked_response)


@extend_schema_field(MESSAGES)
class MessagesOut(serializers.JSONField):
    """Chat messages."""


class NewPromptIn(Input):
    messages = PromptMessages(help_text="A text, or messages that end with the user's or a tool's.")
    external_id = Text(required=False, default="", allow_blank=True, max_length=200)
    tags = Object(required=False, default=dict)


class PromptsIn(Input):
    prompts = several(NewPromptIn(), most=1000)


class PromptOut(serializers.ModelSerializer[Prompt]):
    messages = MessagesOut(read_only=True)
    tags = serializers.DictField(read_only=True)

    class Meta:
        model = Prompt
        fields = [
            "id",
            "messages",
            "external_id",
            "side",
            "tags",
            "created_at",
            "withdrawn_at",
        ]
        read_only_fields = fields


class PromptsOut(serializers.Serializer[Any]):
    prompts = PromptOut(many=True)


class PromptFilters(serializers.Serializer[Any]):
    side = serializers.ChoiceField(choices=Side.choices, required=False)
    external_id = serializers.CharField(required=False, max_length=200)


class GeneratorIn(Input):
    name = Text(max_length=150)
    family = Text(required=False, default="", allow_blank=True, max_length=100)
    kind = Choice(
        required=False,
        default=Generator.Kind.MODEL,
        choices=[choice for choice in Generator.Kind.choices if choice[0] != "model_version"],
    )


class NewResponseIn(Input):
    prompt = Whole(min_value=1, max_value=LARGEST_ID, help_text="The prompt's id.")
    generator = GeneratorIn(help_text="What wrote it. Labelers never see this.")
    messages = ResponseMessages(help_text="A text, or messages of the assistant.")
    sampling = Object(required=False, default=dict, help_text="Temperature, seed, …")


class ResponsesIn(Input):
    responses = several(NewResponseIn(), most=1000)


class GeneratorOut(serializers.ModelSerializer[Generator]):
    class Meta:
        model = Generator
        fields = ["uuid", "name", "family", "kind"]
        read_only_fields = fields


class ResponseOut(serializers.ModelSerializer[Response]):
    generator = GeneratorOut(read_only=True)
    messages = MessagesOut(read_only=True)
    sampling = serializers.DictField(read_only=True)

    class Meta:
        model = Response
        fields = [
            "id",
            "uuid",
            "prompt",
            "generator",
            "messages",
            "sampling",
            "created_at",
            "withdrawn_at",
        ]
        read_only_fields = fields


class ResponsesOut(serializers.Serializer[Any]):
    responses = ResponseOut(many=True)


class ResponseFilters(serializers.Serializer[Any]):
    prompt = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)
    generator = serializers.CharField(required=False, max_length=150, help_text="Its name.")


class ItemsIn(Input):
    kind = Choice(choices=Kind.choices)
    groups = serializers.ListField(
        child=serializers.ListField(
            child=Whole(min_value=1, max_value=LARGEST_ID), min_length=1, max_length=20
        ),
        min_length=1,
        max_length=1000,
        help_text="The ids of the responses of each item.",
    )
    overlap = Whole(required=False, allow_null=True, default=None, min_value=1, max_value=50)
    priority = Whole(
        required=False,
        default=0,
        min_value=-1_000_000,
        max_value=1_000_000,
        help_text="Larger is sooner.",
    )
    batch = Text(required=False, default="", allow_blank=True, max_length=100)
    closed = Flag(required=False, default=False, help_text="Keep them out of the queue for now.")


class ItemsMade(serializers.Serializer[Any]):
    """`items` is in the order of the groups, null where nothing could be made."""

    items = serializers.ListField(child=serializers.IntegerField(allow_null=True))
    created = serializers.IntegerField()
    existing = serializers.IntegerField()
    identical = serializers.IntegerField()
    shortened = serializers.IntegerField()


class ItemResponseOut(serializers.ModelSerializer[ItemResponse]):
    """`position` is the canonical order, in which answers are kept."""

    response = serializers.IntegerField(source="response_id", read_only=True)
    uuid = serializers.UUIDField(source="response.uuid", read_only=True)
    generator = serializers.CharField(source="response.generator.name", read_only=True)

    class Meta:
        model = ItemResponse
        fields = ["position", "response", "uuid", "generator"]
        read_only_fields = fields


class ItemOut(serializers.ModelSerializer[Item]):
    responses = ItemResponseOut(source="item_responses", many=True, read_only=True)
    is_open = serializers.BooleanField(read_only=True)

    class Meta:
        model = Item
        fields = [
            "id",
            "prompt",
            "kind",
            "origin",
            "overlap",
            "open_slots",
            "priority",
            "started",
            "skips",
            "is_open",
            "closed_at",
            "held_at",
            "batch",
            "external_id",
            "created_at",
            "responses",
        ]
        read_only_fields = fields


class ItemFilters(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=Kind.choices, required=False)
    state = serializers.ChoiceField(
        choices=[(name, words) for name, (words, _) in STATES.items()], required=False
    )
    batch = serializers.CharField(required=False, max_length=100)
    prompt = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)
    external_id = serializers.CharField(required=False, max_length=200)


class ExtendIn(Input):
    by = Whole(min_value=1, max_value=49)
    reason = Text(required=False, default="", allow_blank=True, max_length=200)


class PriorityIn(Input):
    priority = Whole(min_value=-1_000_000, max_value=1_000_000, help_text="Larger is sooner.")
