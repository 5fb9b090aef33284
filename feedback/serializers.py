"""What the API takes and gives. Inputs and outputs are apart, with every field named."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from annotation.models import Kind
from annotation.serializers.content import LARGEST_ID, MessagesOut
from annotation.serializers.judging import AnswerIn, ShownResponseOut
from core.api.fields import Choice, Flag, Input, Number, Object, Text, Whole
from core.serializers import JobOut
from feedback.models import AgreementReport, Export, Policy, Preference, Snapshot


class AgreementOut(serializers.ModelSerializer[AgreementReport]):
    """`figures` are as measured: between people, and apart between people and each judge."""

    figures = serializers.DictField(read_only=True)

    class Meta:
        model = AgreementReport
        fields = ["id", "kind", "criterion", "judgments", "created_at", "figures"]
        read_only_fields = fields


class AgreementReportsOut(serializers.Serializer[Any]):
    is_behind = serializers.BooleanField(help_text="Judgments have come in since.")
    reports = AgreementOut(many=True)


class PreferenceOut(serializers.ModelSerializer[Preference]):
    item = serializers.IntegerField(source="item_id", read_only=True)
    kind = serializers.CharField(source="item.kind", read_only=True)
    prompt = serializers.IntegerField(source="item.prompt_id", read_only=True)
    policy_version = serializers.IntegerField(source="policy.version", read_only=True)
    outcome = serializers.DictField(read_only=True)
    probabilities = serializers.ListField(child=serializers.FloatField(), read_only=True)
    judgments = serializers.ListField(
        source="judgment_ids", child=serializers.IntegerField(), read_only=True
    )
    cause = serializers.CharField(
        read_only=True, help_text="`even`, `split` or `judges`; empty where nothing is contested."
    )

    class Meta:
        model = Preference
        fields = [
            "id",
            "item",
            "kind",
            "prompt",
            "criterion",
            "state",
            "outcome",
            "probabilities",
            "agreement",
            "support_people",
            "support_judges",
            "judgments",
            "cause",
            "disagreement",
            "adjudication",
            "policy_version",
            "created_at",
        ]
        read_only_fields = fields


class PreferenceFilters(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=Preference.State.choices, required=False)
    criterion = serializers.CharField(required=False, max_length=40)
    kind = serializers.ChoiceField(choices=Kind.choices, required=False)
    item = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)


class WaitingFilters(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=Kind.choices, required=False)
    criterion = serializers.CharField(required=False, max_length=40)
    cause = serializers.ChoiceField(choices=Preference.Cause.choices, required=False)


class WaitingOut(serializers.ModelSerializer[Preference]):
    """Blind: that the votes differ and how far, not what they are."""

    item = serializers.IntegerField(source="item_id", read_only=True)
    kind = serializers.CharField(source="item.kind", read_only=True)
    preference = serializers.IntegerField(
        source="pk", read_only=True, help_text="Give it back as `seen`."
    )
    since = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = Preference
        fields = ["item", "kind", "criterion", "cause", "disagreement", "preference", "since"]
        read_only_fields = fields


class QueueOut(serializers.Serializer[Any]):
    items = serializers.IntegerField(help_text="How many items wait, of those asked for.")
    waiting = WaitingOut(many=True, help_text="The first 100, most disagreement first.")


class AdjudicateIn(Input):
    """One of `value`, `exclude` and `more`."""

    criterion = Text(max_length=40)
    value = AnswerIn(
        required=False,
        allow_null=True,
        default=None,
        help_text="The decision, in canonical order (`position` of the item's responses).",
    )
    exclude = Flag(required=False, default=False, help_text="No use for training, whoever wins.")
    more = Whole(
        required=False,
        default=0,
        min_value=0,
        max_value=9,
        help_text="Send it back: ask so many more people to judge it.",
    )
    note = Text(required=False, default="", allow_blank=True, max_length=5000)
    seen = Whole(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=LARGEST_ID,
        help_text="The preference that you looked at; refused when there is a newer one.",
    )


class StandingOut(serializers.Serializer[Any]):
    criterion = serializers.CharField()
    state = serializers.ChoiceField(choices=Preference.State.choices)
    preference = serializers.IntegerField(help_text="Give it back as `seen`.")


class ContestedItemOut(serializers.Serializer[Any]):
    """Blind: the texts in canonical order, without who wrote them or who answered what."""

    item = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Kind.choices)
    prompt = MessagesOut()
    responses = ShownResponseOut(many=True)
    standing = StandingOut(many=True)


class PolicyValuesIn(Input):
    aggregation = Choice(choices=Policy.Aggregation.choices)
    min_judgments = Whole(min_value=1, max_value=50)
    min_agreement = Number(min_value=0.0, max_value=1.0)
    count_judges = Flag()
    weights = serializers.DictField(
        child=Number(min_value=0.0, max_value=1000.0),
        required=False,
        default=dict,
        help_text="By annotator's id; 0 leaves one out.",
    )


class PolicyIn(PolicyValuesIn):
    from_version = Whole(
        min_value=0, max_value=2**31 - 1, help_text="The version that you have read."
    )


class PreviewOut(serializers.Serializer[Any]):
    """How many decisions stand in each state, now and then."""

    before = serializers.DictField(child=serializers.IntegerField())
    after = serializers.DictField(child=serializers.IntegerField())


class WeighedOut(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="annotator.pk")
    uuid = serializers.UUIDField(source="annotator.uuid")
    name = serializers.CharField(source="annotator")
    is_judge = serializers.BooleanField(source="annotator.is_judge")
    judgments = serializers.IntegerField()
    weight = serializers.FloatField()


class AnnotatorsOut(serializers.Serializer[Any]):
    annotators = WeighedOut(many=True)


class PolicyOut(serializers.ModelSerializer[Policy]):
    weights = serializers.DictField(child=serializers.FloatField(), read_only=True)

    class Meta:
        model = Policy
        fields = [
            "version",
            "aggregation",
            "min_judgments",
            "min_agreement",
            "count_judges",
            "weights",
            "created_at",
        ]
        read_only_fields = fields


class PolicySet(serializers.Serializer[Any]):
    policy = PolicyOut()
    job = JobOut(allow_null=True, help_text="Decides anew; null when nothing changed.")


class FreezeIn(Input):
    note = Text(required=False, default="", allow_blank=True, max_length=200)


class SnapshotOut(serializers.ModelSerializer[Snapshot]):
    class Meta:
        model = Snapshot
        fields = ["id", "version", "note", "content_hash", "created_at", "replaced_by"]
        read_only_fields = fields


class ManifestOut(SnapshotOut):
    manifest = serializers.DictField(read_only=True)

    class Meta(SnapshotOut.Meta):
        fields = [*SnapshotOut.Meta.fields, "manifest"]
        read_only_fields = fields


class ExportIn(Input):
    shape = Choice(choices=Export.Shape.choices)
    format = Choice(choices=Export.Format.choices)
    snapshot = Whole(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=LARGEST_ID,
        help_text="Its id. Raw judgments need none.",
    )
    options = Object(
        required=False,
        default=dict,
        help_text="side: train, held_out or both; criterion; ties; binary_from_pairs; rewrites.",
    )


class ExportOut(serializers.ModelSerializer[Export]):
    """When its job is over, the file can be downloaded."""

    options = serializers.DictField(read_only=True)
    job = JobOut(read_only=True, allow_null=True)
    is_ready = serializers.SerializerMethodField()

    class Meta:
        model = Export
        fields = [
            "id",
            "shape",
            "format",
            "snapshot",
            "options",
            "rows",
            "is_ready",
            "created_at",
            "job",
        ]
        read_only_fields = fields

    def get_is_ready(self, export: Export) -> bool:
        return bool(export.file_name)
