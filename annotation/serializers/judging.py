"""What is asked and answered."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from annotation.answer_form import ShownItem
from annotation.answers import AnswerValue
from annotation.models import Answer, Assignment, Judgment, Kind
from annotation.serializers.content import (
    LARGEST_ID,
    MessagesOut,
    PromptMessages,
    ResponseMessages,
)
from annotation.serializers.project import CriterionOut
from annotation.services.rewrite_response import LONGEST_REWRITE
from core.api.fields import Flag, Input, Text, Whole, several


class Milliseconds(Whole):
    def __init__(self, **kwargs: Any) -> None:
        bounds = {"min_value": 0, "max_value": 2**31 - 1}
        super().__init__(**{"required": False, "allow_null": True, **bounds, **kwargs})


class AnswerIn(Input):
    """Pairwise: `strength`; listwise: `ranks`; thumbs: `thumb`."""

    strength = Whole(
        required=False,
        allow_null=True,
        min_value=-3,
        max_value=3,
        help_text="Positive: the first response is better. 0: a tie.",
    )
    both_bad = Flag(required=False, default=False, help_text="With a tie: both are bad.")
    ranks = serializers.ListField(
        child=Whole(min_value=1, max_value=20),
        required=False,
        allow_null=True,
        max_length=20,
        help_text="The rank of each response in the order shown; 1 is best, equal is a tie.",
    )
    acceptable_to = Whole(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=20,
        help_text="The last rank that is acceptable; 0: none is.",
    )
    thumb = Whole(
        required=False, allow_null=True, min_value=0, max_value=1, help_text="1 up, 0 down."
    )


def answer_values(answers: dict[str, dict[str, Any]]) -> dict[str, AnswerValue]:
    return {
        criterion: AnswerValue(
            **{**given, "ranks": tuple(given["ranks"]) if given.get("ranks") is not None else None}
        )
        for criterion, given in answers.items()
    }


class SubmitIn(Input):
    client_key = Text(
        min_length=8,
        max_length=64,
        help_text="Made by the caller, once for each answer: sent again, nothing is added.",
    )
    answers = serializers.DictField(
        child=AnswerIn(), allow_empty=False, help_text="By criterion, in the order shown."
    )
    comment = Text(required=False, default="", allow_blank=True, max_length=5000)
    reasons = serializers.ListField(
        child=Text(max_length=60), required=False, default=list, max_length=20
    )
    rewrite = Text(
        required=False,
        default="",
        allow_blank=True,
        max_length=LONGEST_REWRITE,
        trim_whitespace=False,
        help_text="Of one response alone: a better text for its last message.",
    )
    duration_ms = Milliseconds()
    active_ms = Milliseconds()


class SkipIn(Input):
    reason = Text(required=False, default="", allow_blank=True, max_length=200)
    flagged = Flag(required=False, default=False, help_text="Something is wrong with the item.")


class ShownResponseOut(serializers.Serializer[Any]):
    messages = MessagesOut(read_only=True)


class ShownAnswerOut(serializers.Serializer[Any]):
    strength = serializers.IntegerField(allow_null=True)
    both_bad = serializers.BooleanField()
    ranks = serializers.ListField(child=serializers.IntegerField(), allow_null=True)
    acceptable_to = serializers.IntegerField(allow_null=True)
    thumb = serializers.IntegerField(allow_null=True)


class AssignmentOut(serializers.Serializer[ShownItem]):
    """What a labeler may know: texts in the order shown, and one's own answer."""

    id = serializers.IntegerField(source="assignment")
    kind = serializers.ChoiceField(choices=Kind.choices)
    state = serializers.SerializerMethodField()
    prompt = MessagesOut()
    responses = ShownResponseOut(many=True)
    criteria = CriterionOut(many=True)
    reasons = serializers.SerializerMethodField()
    answers = serializers.SerializerMethodField()
    comment = serializers.CharField(allow_blank=True)
    guidelines = serializers.SerializerMethodField()
    lease_expires_at = serializers.SerializerMethodField()

    def get_state(self, shown: ShownItem) -> str:
        return state_shown(self.context["assignment"])

    def get_reasons(self, shown: ShownItem) -> list[str]:
        return [reason["word"] for reason in shown.reasons]

    def get_answers(self, shown: ShownItem) -> dict[str, dict[str, Any]]:
        given = {one.key: one.answer for one in shown.criteria if one.answer != AnswerValue()}
        return {key: ShownAnswerOut(value).data for key, value in given.items()}

    def get_guidelines(self, shown: ShownItem) -> str:
        return str(self.context["protocol"].guidelines)

    def get_lease_expires_at(self, shown: ShownItem) -> str | None:
        expires = self.context["assignment"].lease_expires_at
        return expires.isoformat() if expires else None


def state_shown(assignment: Assignment) -> str:
    """Whether an answer still found a free slot is no concern of its labeler's."""
    answered = (Assignment.State.DONE, Assignment.State.SURPLUS)
    return "answered" if assignment.state in answered else str(assignment.state)


class ClaimOut(serializers.Serializer[Any]):
    assignment = AssignmentOut(allow_null=True)
    held_by_others = serializers.BooleanField(
        help_text="Nothing now, but somebody's lease may run out: ask again later."
    )


class OwnAssignmentOut(serializers.ModelSerializer[Assignment]):
    project = serializers.IntegerField(source="item.project_id", read_only=True)
    kind = serializers.CharField(source="item.kind", read_only=True)
    state = serializers.SerializerMethodField()

    class Meta:
        model = Assignment
        fields = ["id", "project", "kind", "state", "created_at", "finished_at"]
        read_only_fields = fields

    def get_state(self, assignment: Assignment) -> str:
        return state_shown(assignment)


class AnswerOut(serializers.ModelSerializer[Answer]):
    """In canonical order."""

    ranks = serializers.ListField(child=serializers.IntegerField(), allow_null=True)
    probabilities = serializers.ListField(child=serializers.FloatField(), allow_null=True)

    class Meta:
        model = Answer
        fields = [
            "criterion",
            "strength",
            "both_bad",
            "ranks",
            "acceptable_to",
            "thumb",
            "probabilities",
        ]
        read_only_fields = fields


class JudgmentOut(serializers.ModelSerializer[Judgment]):
    item = serializers.IntegerField(source="assignment.item_id", read_only=True)
    kind = serializers.CharField(source="assignment.item.kind", read_only=True)
    annotator = serializers.CharField(source="assignment.annotator", read_only=True)
    annotator_uuid = serializers.UUIDField(source="assignment.annotator.uuid", read_only=True)
    is_judge = serializers.BooleanField(source="assignment.annotator.is_judge", read_only=True)
    occasion = serializers.CharField(source="assignment.occasion", read_only=True)
    state = serializers.ChoiceField(
        source="assignment.state", choices=Assignment.State.choices, read_only=True
    )
    is_current = serializers.SerializerMethodField()
    shown_order = serializers.ListField(
        source="assignment.shown_order", child=serializers.IntegerField(), read_only=True
    )
    protocol_version = serializers.IntegerField(source="protocol.version", read_only=True)
    answers = AnswerOut(many=True, read_only=True)
    reasons = serializers.ListField(child=serializers.CharField(), read_only=True)
    comment = serializers.SerializerMethodField()

    class Meta:
        model = Judgment
        fields = [
            "id",
            "item",
            "kind",
            "annotator",
            "annotator_uuid",
            "is_judge",
            "occasion",
            "state",
            "revision",
            "is_current",
            "origin",
            "shown_order",
            "protocol_version",
            "answers",
            "reasons",
            "comment",
            "duration_ms",
            "active_ms",
            "created_at",
        ]
        read_only_fields = fields

    def get_is_current(self, judgment: Judgment) -> bool:
        return judgment.assignment.current_id == judgment.pk

    def get_comment(self, judgment: Judgment) -> str:
        comment = getattr(judgment, "comment", None)
        return comment.text if comment else ""


class JudgmentFilters(serializers.Serializer[Any]):
    item = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)
    annotator = serializers.UUIDField(required=False, help_text="Its uuid.")
    origin = serializers.ChoiceField(choices=Judgment.Origin.choices, required=False)
    occasion = serializers.CharField(required=False, max_length=12)


class GivenResponseIn(Input):
    generator = Text(max_length=150, help_text="The model that wrote it, as you call it.")
    messages = ResponseMessages(help_text="A text, or messages of the assistant.")


class FeedbackIn(Input):
    application = Text(max_length=100, help_text="The application's name; its users are one voice.")
    external_id = Text(max_length=200, help_text="The event's id: sent again, nothing is added.")
    prompt = PromptMessages()
    responses = several(GivenResponseIn(), most=20)
    kind = serializers.ChoiceField(
        choices=Kind.choices, help_text="thumbs: 1 response; pairwise: 2; listwise: 2 to 20."
    )
    answers = serializers.DictField(
        child=AnswerIn(),
        allow_empty=False,
        help_text="By criterion, in the order in which `responses` lists them.",
    )
    comment = Text(required=False, default="", allow_blank=True, max_length=5000)
    open_item = Flag(
        required=False, default=False, help_text="Ask the project's labelers about it too."
    )


class FeedbackOut(serializers.Serializer[Any]):
    item = serializers.IntegerField(allow_null=True)
    judgment = serializers.IntegerField(allow_null=True)
    created = serializers.BooleanField()
