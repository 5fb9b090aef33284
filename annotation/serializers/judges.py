"""Judges, their texts, their runs and calls."""

from __future__ import annotations

import json
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation.judging.content import LONGEST_LIST
from annotation.judging.formats import FORMATS
from annotation.judging.own_template import LONGEST_TEMPLATE
from annotation.judging.protocol import JudgeProtocol
from annotation.judging.settings import describe_settings
from annotation.models import (
    Judge,
    JudgeCall,
    JudgeRun,
    JudgeTemplate,
    Kind,
    ProjectJudge,
    ProviderModel,
)
from annotation.selectors.provider_pages import price_in_force
from annotation.serializers.content import LARGEST_ID
from annotation.serializers.providers import ModelOut, PriceOut
from core.api.fields import Choice, Flag, Input, Number, Object, Text, Whole

MOST_ITEMS = 10_000
# Canaries and rewards are asked by runs of their own making.
PURPOSES = [
    JudgeRun.Purpose.JUDGE,
    JudgeRun.Purpose.TRIAL,
    JudgeRun.Purpose.REPEAT,
    JudgeRun.Purpose.CANARY,
]


class ProtocolSettingOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.SerializerMethodField()
    help = serializers.CharField()
    min = serializers.FloatField(allow_null=True)
    max = serializers.FloatField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField(), allow_null=True)

    def get_type(self, setting: Any) -> str:
        return str(setting.type.__name__)


class JudgeProtocolOut(serializers.Serializer[JudgeProtocol]):
    key = serializers.CharField()
    version = serializers.IntegerField()
    title = serializers.CharField()
    summary = serializers.CharField()
    rule = serializers.CharField(help_text="What happens when the orders disagree.")
    # A field of this name hides the serializer's own, which nobody reads of a whole one.
    source = serializers.CharField()  # type: ignore[assignment]
    url = serializers.CharField()
    kinds = serializers.ListField(child=serializers.ChoiceField(choices=Kind.choices))
    needs = serializers.SerializerMethodField(help_text="What the model must be able to do.")
    defaults = serializers.SerializerMethodField()

    def get_needs(self, protocol: JudgeProtocol) -> list[str]:
        return sorted(protocol.needs)

    def get_defaults(self, protocol: JudgeProtocol) -> dict[str, Any]:
        return protocol.defaults.to_dict()


class JudgeProtocolsOut(serializers.Serializer[Any]):
    protocols = JudgeProtocolOut(many=True)
    settings = serializers.SerializerMethodField()

    @extend_schema_field(ProtocolSettingOut(many=True))
    def get_settings(self, _: Any) -> list[dict[str, Any]]:
        return [dict(ProtocolSettingOut(one).data) for one in describe_settings()]


class OfferedModelOut(ModelOut):
    price = serializers.SerializerMethodField(help_text="In force today; null: unknown.")

    class Meta(ModelOut.Meta):
        fields = ["id", "provider", "name", "family", "can", "probed_at", "price"]
        read_only_fields = fields

    @extend_schema_field(PriceOut(allow_null=True))
    def get_price(self, model: ProviderModel) -> Any:
        price = price_in_force(model)
        return PriceOut(price).data if price is not None else None


class JudgeIn(Input):
    model = Whole(min_value=1, max_value=LARGEST_ID, help_text="Of `GET judge-models`.")
    protocol = Text(max_length=60, help_text="A key of `GET judge-protocols`.")
    kind = Choice(choices=Kind.choices)
    template = Whole(
        required=False, allow_null=True, min_value=1, max_value=LARGEST_ID,
        help_text="For the protocol `own`: one of the project's templates.",
    )  # fmt: skip
    name = Text(max_length=100)
    settings = Object(
        required=False, default=dict, help_text="What is left out has the protocol's default."
    )


class TextsOut(serializers.Serializer[Any]):
    system = serializers.CharField()
    body = serializers.CharField()
    answer_format = serializers.CharField()


class JudgeOut(serializers.ModelSerializer[Judge]):
    texts = serializers.SerializerMethodField(help_text="What is sent; null for imported judges.")
    settings = serializers.DictField(read_only=True)

    class Meta:
        model = Judge
        fields = [
            "id", "project", "name", "version", "origin", "model", "model_name", "family",
            "protocol", "protocol_version", "texts", "settings", "created_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(TextsOut(allow_null=True))
    def get_texts(self, judge: Judge) -> Any:
        return json.loads(judge.template) if judge.template else None


class TakesIn(Input):
    takes = Choice(choices=ProjectJudge.Takes.choices)
    by_itself = Flag(
        required=False,
        default=False,
        help_text="Start runs over new items by itself, within the project's budget for judges.",
    )


class TakesOut(serializers.Serializer[Any]):
    judge = serializers.IntegerField()
    takes = serializers.ChoiceField(choices=ProjectJudge.Takes.choices)
    by_itself = serializers.BooleanField()


class JudgeTemplateIn(Input):
    name = Text(max_length=100)
    kind = Choice(choices=Kind.choices)
    answer_format = Choice(choices=list(FORMATS))
    system = Text(required=False, default="", allow_blank=True, max_length=LONGEST_TEMPLATE)
    body = Text(max_length=LONGEST_TEMPLATE, help_text="With placeholders such as `{prompt}`.")


class JudgeDraftIn(JudgeTemplateIn):
    name = Text(required=False, default="", allow_blank=True, max_length=100)
    model = Whole(min_value=1, max_value=LARGEST_ID, help_text="Of `GET judge-models`.")


class JudgeTemplateOut(serializers.ModelSerializer[JudgeTemplate]):
    class Meta:
        model = JudgeTemplate
        fields = [
            "id", "name", "version", "kind", "answer_format", "system", "body", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class SelectionIn(Input):
    takes = Choice(
        choices=ProjectJudge.Takes.choices,
        required=False,
        allow_null=True,
        help_text="Left out, and `items` too: what the project has chosen for the judge.",
    )
    items = serializers.ListField(
        child=Whole(min_value=1, max_value=LARGEST_ID),
        required=False,
        allow_null=True,
        min_length=1,
        max_length=MOST_ITEMS,
        help_text="These, instead of `takes`.",
    )
    limit = Whole(required=False, allow_null=True, min_value=1, max_value=10_000_000)
    again = Flag(
        required=False, help_text="Those that failed or could not be read, instead of new ones."
    )
    unpriced = Flag(
        required=False,
        help_text="Run a model without a known price, where no cap holds. Give a `limit` or "
        "`items` with it.",
    )


class JudgeRunEstimateIn(Input):
    purpose = Choice(choices=PURPOSES, required=False, default=JudgeRun.Purpose.JUDGE)
    selection = SelectionIn(help_text='For instance `{"takes": "unlabeled", "limit": 100}`.')


class JudgeRunIn(JudgeRunEstimateIn):
    cap = Number(
        min_value=0, max_value=999_999,
        help_text="Dollars. What is spent and reserved never passes it.",
    )  # fmt: skip


class ResumeIn(Input):
    cap = Number(
        required=False, allow_null=True, min_value=0, max_value=999_999,
        help_text="Another cap, in dollars; left out, it stays.",
    )  # fmt: skip


class JudgeRunEstimateOut(serializers.Serializer[Any]):
    items = serializers.IntegerField()
    is_exact = serializers.BooleanField(
        help_text="False: the items, and so all figures, are projected from a part of very many."
    )
    too_long = serializers.IntegerField(
        help_text=f"Lists of more than {LONGEST_LIST} responses, which no judge is shown: left out."
    )
    calls = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField(help_text="At most.")
    cost = serializers.FloatField(help_text="Dollars, at most; 0 while no price is known.")
    likely_cost = serializers.FloatField()
    price_known = serializers.BooleanField()
    seconds = serializers.FloatField(allow_null=True)
    learned_from = serializers.CharField(
        help_text="Whose newest calls told the tokens of a text: `judge`, `model`; empty: a guess."
    )


class JudgeRunOut(serializers.ModelSerializer[JudgeRun]):
    state = serializers.SerializerMethodField(
        help_text="Of its job; paused while it is paused; rewards for those of a training run."
    )
    selection = serializers.DictField(read_only=True)
    estimate = serializers.DictField(read_only=True)
    done = serializers.SerializerMethodField(help_text="Items that came to an outcome.")
    seconds_left = serializers.FloatField(
        source="job.seconds_left", read_only=True, allow_null=True, default=None
    )
    error = serializers.CharField(source="job.error", read_only=True, default="")

    class Meta:
        model = JudgeRun
        fields = [
            "id", "judge", "purpose", "job", "state", "selection", "cap", "reserved", "settled",
            "overrun", "estimate", "done", "seconds_left", "error", "paused_at", "created_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_state(self, run: JudgeRun) -> str:
        if run.job is None:
            return "rewards"
        if run.paused_at is not None and run.job.state != "succeeded":
            return "paused"
        return run.job.state

    def get_done(self, run: JudgeRun) -> int:
        return int(getattr(run, "done", 0))


class CallFilters(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=JudgeCall.State.choices, required=False)
    item = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)


class JudgeCallOut(serializers.ModelSerializer[JudgeCall]):
    shown_order = serializers.ListField(child=serializers.IntegerField(), read_only=True)

    class Meta:
        model = JudgeCall
        fields = [
            "id", "run", "item", "purpose", "shown_order", "sample_index", "attempt", "state",
            "error", "tries", "prompt_tokens", "completion_tokens", "reserved_cost",
            "settled_cost", "latency_ms", "created_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields


class JudgeCallDetailOut(JudgeCallOut):
    parameters = serializers.DictField(read_only=True)
    reply = serializers.DictField(read_only=True)
    verdict = serializers.DictField(read_only=True)

    class Meta(JudgeCallOut.Meta):
        fields = [*JudgeCallOut.Meta.fields, "parameters", "reply", "verdict"]
        read_only_fields = fields
