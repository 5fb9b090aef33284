"""What the API takes and gives. Inputs and outputs are apart, with every field named."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation.serializers.content import LARGEST_ID, MessagesOut
from core.api.fields import Choice, Flag, Input, Number, Object, Text, Whole
from core.serializers import JobOut
from training.models import (
    Evaluation,
    ModelVersion,
    Promotion,
    Recipe,
    RecipeStep,
    Sample,
    Sweep,
    TrainingRun,
)
from training.services.sampling import SIDES


class OptionOut(serializers.Serializer[Any]):
    """One thing that a run's `config` may set."""

    name = serializers.CharField()
    type = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment]
    nullable = serializers.BooleanField()
    default = serializers.JSONField(allow_null=True)
    help = serializers.CharField()
    min = serializers.FloatField(allow_null=True)
    max = serializers.FloatField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField(), allow_null=True)


class MethodOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    paper = serializers.CharField()
    url = serializers.CharField()
    data = serializers.CharField()  # type: ignore[assignment]
    needs_reference = serializers.BooleanField()
    family = serializers.CharField()
    also = serializers.ListField(child=serializers.CharField())
    loop = serializers.CharField()
    trains = serializers.CharField()
    needs_value_model = serializers.BooleanField()
    needs_rewards = serializers.BooleanField()
    defaults = serializers.DictField(help_text="What its runs take where `config` says nothing.")
    summary = serializers.CharField()
    hyperparameters = OptionOut(many=True)


class MethodsOut(serializers.Serializer[Any]):
    methods = MethodOut(many=True)
    options = OptionOut(many=True, help_text="What every method's run may set.")


class BaseModelOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    source = serializers.CharField(source="source.value")  # type: ignore[assignment]
    is_ready = serializers.BooleanField(help_text="Else it is made ready by the first run.")


class BaseModelsOut(serializers.Serializer[Any]):
    models = BaseModelOut(many=True)


class RunIn(Input):
    snapshot = Whole(min_value=1, max_value=LARGEST_ID, help_text="Its id.")
    method = Text(max_length=40, help_text="As `methods` names it.")
    criterion = Text(max_length=40)
    base_model = Text(max_length=200, help_text="As `base-models` names it.")
    config = Object(
        required=False,
        default=dict,
        help_text="What `methods` lists under `options`, and the method's own under "
        "`hyperparameters`; the rest takes its default.",
    )
    name = Text(required=False, default="", allow_blank=True, max_length=100)
    binary_from_pairs = Flag(required=False, default=False)
    rewrites = Flag(
        required=False,
        default=False,
        help_text="For pairs: what people rewrote counts as chosen over what it replaced.",
    )
    evaluated_by = Text(
        required=False,
        default="",
        allow_blank=True,
        max_length=200,
        help_text="A reward model, as `version:3`, that compares answers before and after. In "
        "`config.reward_sources`, `folders` takes the same names; "
        '`{"kind": "judge", "judge": "NAME", "cap": 5}` is a judge of the project with its '
        "budget in dollars.",
    )
    client_key = Text(
        required=False,
        allow_null=True,
        default=None,
        min_length=8,
        max_length=64,
        help_text="Made by the caller: the same key again returns the first call's run.",
    )


class ResumeTrainingIn(Input):
    kl_budget = Number(
        required=False,
        allow_null=True,
        default=None,
        min_value=0.0,
        max_value=1e6,
        help_text="Of an online run that its KL budget stopped: a larger one to go on under.",
    )


class SweepIn(RunIn):
    grid = Object(
        help_text="For each setting or hyper-parameter that varies the list of its values; one "
        "run for each combination."
    )


class RecipeIn(Input):
    """RLHF in three stages; each stage's config is as a run's."""

    snapshot = Whole(min_value=1, max_value=LARGEST_ID, help_text="Its id.")
    criterion = Text(max_length=40)
    base_model = Text(max_length=200, help_text="The first stage starts from it.")
    sft = Object(required=False, default=dict)
    reward = Object(required=False, default=dict)
    policy = Object(required=False, default=dict)
    policy_method = Text(required=False, default="ppo", max_length=40)
    name = Text(required=False, default="", allow_blank=True, max_length=100)
    client_key = Text(required=False, allow_null=True, default=None, min_length=8, max_length=50)


class RunOut(serializers.ModelSerializer[TrainingRun]):
    config = serializers.DictField(read_only=True)
    data_options = serializers.DictField(read_only=True)
    estimate = serializers.DictField(
        read_only=True, help_text="What was foretold at the launch, in `seconds` and `bytes`."
    )
    version = serializers.SerializerMethodField(help_text="The id of the model version it made.")
    job = JobOut(read_only=True)

    class Meta:
        model = TrainingRun
        fields = [
            "id",
            "name",
            "project",
            "snapshot",
            "method",
            "base_model",
            "criterion",
            "config",
            "data_options",
            "estimate",
            "seed",
            "code_version",
            "version",
            "job",
            "created_at",
        ]
        read_only_fields = fields

    def get_version(self, run: TrainingRun) -> int | None:
        version = getattr(run, "model_version", None)
        return version.pk if version else None


class SweepOut(serializers.ModelSerializer[Sweep]):
    grid = serializers.DictField(read_only=True)
    runs = RunOut(many=True, read_only=True)

    class Meta:
        model = Sweep
        fields = ["id", "name", "project", "grid", "runs", "created_at"]
        read_only_fields = fields


class RecipeStepOut(serializers.ModelSerializer[RecipeStep]):
    class Meta:
        model = RecipeStep
        fields = ["position", "method", "base_model", "starts_from", "rewarded_by", "run"]
        read_only_fields = fields


class RecipeOut(serializers.ModelSerializer[Recipe]):
    steps = RecipeStepOut(many=True, read_only=True)

    class Meta:
        model = Recipe
        fields = [
            "id", "name", "project", "snapshot", "steps", "stopped_at", "problem", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class PartOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    amount = serializers.FloatField()


class BudgetOut(serializers.Serializer[Any]):
    """An estimate; nothing was queued."""

    bytes = serializers.FloatField(help_text="Peak memory.")
    seconds = serializers.FloatField(help_text="From start to evaluation.")
    steps = serializers.IntegerField()
    memory = PartOut(many=True, help_text="Bytes by part.")
    time = PartOut(many=True, help_text="Seconds by phase.")
    is_too_large = serializers.BooleanField(help_text="For the memory of the web's machine.")
    basis = serializers.CharField(source="machine.basis", help_text="Where the speed is from.")


class MetricsOut(serializers.Serializer[Any]):
    metrics = serializers.DictField(
        child=serializers.ListField(child=serializers.ListField(child=serializers.FloatField())),
        help_text="For each metric its points: [step, value].",
    )


class LogOut(serializers.Serializer[Any]):
    log = serializers.CharField(allow_blank=True)


class LogOptions(serializers.Serializer[Any]):
    lines = serializers.IntegerField(required=False, default=200, min_value=1, max_value=5000)


class EvaluationOut(serializers.ModelSerializer[Evaluation]):
    figures = serializers.DictField(read_only=True)

    class Meta:
        model = Evaluation
        fields = ["id", "snapshot", "figures", "created_at"]
        read_only_fields = fields


class SampleOut(serializers.ModelSerializer[Sample]):
    prompt_messages = MessagesOut(read_only=True)
    figures = serializers.DictField(read_only=True)

    class Meta:
        model = Sample
        fields = [
            "position",
            "prompt",
            "prompt_messages",
            "policy_text",
            "reference_text",
            "figures",
        ]
        read_only_fields = fields


class VersionOut(serializers.ModelSerializer[ModelVersion]):
    generator = serializers.CharField(source="generator.name", read_only=True)
    is_promoted = serializers.SerializerMethodField()

    class Meta:
        model = ModelVersion
        fields = ["id", "number", "project", "run", "generator", "is_promoted", "created_at"]
        read_only_fields = fields

    def get_is_promoted(self, version: ModelVersion) -> bool:
        return bool(version == self.context["promoted"])


class LineageOut(serializers.Serializer[Any]):
    """From the weights back to the snapshot, whose records name the judgments."""

    facts = serializers.DictField()
    run = serializers.IntegerField(source="run.pk", default=None, allow_null=True)
    snapshot = serializers.IntegerField(source="snapshot.pk", default=None, allow_null=True)
    parent = serializers.IntegerField(  # type: ignore[assignment]
        source="parent.pk", default=None, allow_null=True, help_text="The version it began from."
    )


class VersionDetailOut(VersionOut):
    lineage = serializers.SerializerMethodField()
    evaluations = EvaluationOut(many=True, read_only=True)
    samples = serializers.SerializerMethodField(
        help_text="What the version and its reference wrote to the same held-out prompts."
    )

    class Meta(VersionOut.Meta):
        fields = [*VersionOut.Meta.fields, "lineage", "evaluations", "samples"]
        read_only_fields = fields

    @extend_schema_field(LineageOut)
    def get_lineage(self, version: ModelVersion) -> Any:
        return LineageOut(self.context["lineage"]).data

    @extend_schema_field(SampleOut(many=True))
    def get_samples(self, version: ModelVersion) -> Any:
        samples = list(version.run.samples.all()) if version.run else []
        return SampleOut(samples, many=True).data


class NoteIn(Input):
    note = Text(required=False, default="", allow_blank=True, max_length=200)


class PromoteIn(NoteIn):
    replacing = Whole(
        allow_null=True,
        min_value=1,
        max_value=LARGEST_ID,
        help_text="The id of the version that is promoted now, null when none is: refused when "
        "somebody was quicker.",
    )


class PromotionOut(serializers.ModelSerializer[Promotion]):
    by = serializers.CharField(source="by.username", default=None, allow_null=True)

    class Meta:
        model = Promotion
        fields = ["id", "action", "version", "previous", "note", "by", "created_at"]
        read_only_fields = fields


class SampleIn(Input):
    sides = Choice(choices=sorted(SIDES), required=False, default="all")
    limit = Whole(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=100_000,
        help_text="So many prompts, chosen at random; all of them when left out.",
    )
    max_new_tokens = Whole(required=False, default=256, min_value=1, max_value=4096)
    temperature = Number(required=False, default=0.8, min_value=0.0, max_value=5.0)
    client_key = Text(required=False, allow_null=True, default=None, min_length=8, max_length=64)


class RoundOut(serializers.Serializer[Any]):
    """One pass of the loop; what has not happened yet is null."""

    number = serializers.IntegerField()
    snapshot = serializers.IntegerField(source="snapshot.pk", default=None, allow_null=True)
    run = serializers.IntegerField(source="run.pk", default=None, allow_null=True)
    version = serializers.IntegerField(source="version.pk", default=None, allow_null=True)
    promotion = serializers.IntegerField(source="promotion.pk", default=None, allow_null=True)
    items = serializers.IntegerField(source="batch.items", default=None, allow_null=True)
    judgments = serializers.IntegerField(source="batch.judgments", default=None, allow_null=True)
    wanted = serializers.IntegerField(source="batch.wanted", default=None, allow_null=True)


class RoundsOut(serializers.Serializer[Any]):
    rounds = RoundOut(many=True)
