"""Judges that are models: what they are, what they are asked, and what every call came to."""

from __future__ import annotations

import uuid
from decimal import ROUND_UP, Decimal
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from annotation.models.item import Item
from annotation.models.kinds import Kind
from annotation.models.project import Project, Protocol
from annotation.models.provider import ProviderModel
from core.models import Job, User

# Of a cap, in dollars.
SMALLEST = Decimal("0.000001")
COST: dict[str, Any] = {"max_digits": 14, "decimal_places": 8}


class JudgeTemplate(models.Model):
    """A researcher's own protocol: texts with named placeholders. A change is a new version."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judge_templates")
    name = models.CharField(max_length=100)
    version = models.PositiveIntegerField(default=1)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    # How the reply is read: see annotation.judging.protocols.own.
    answer_format = models.CharField(max_length=20)
    system = models.TextField(blank=True)
    body = models.TextField()
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["project", "name", "-version"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name", "version"], name="judge_template_version_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Judge(models.Model):
    """A versioned model with its protocol and template. Imported verdicts have judges too.

    Never changed once it was asked: other settings are a new version.
    """

    class Origin(models.TextChoices):
        CONFIGURED = "configured"
        IMPORTED = "imported"
        # Of a text that is not saved: it is tried, and answers nothing that counts.
        DRAFT = "draft"

    # Null for imported judges, which belong to a data set.
    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.CASCADE, related_name="judges"
    )
    name = models.CharField(max_length=100)
    version = models.PositiveIntegerField(default=1)
    origin = models.CharField(max_length=10, choices=Origin.choices, default=Origin.CONFIGURED)
    model = models.ForeignKey(
        ProviderModel, null=True, blank=True, on_delete=models.PROTECT, related_name="judges"
    )
    model_name = models.CharField(max_length=150)
    family = models.CharField(max_length=100, blank=True)
    # A key of annotation.judging's registry, "own" for a researcher's template.
    protocol = models.CharField(max_length=60, blank=True)
    protocol_version = models.PositiveIntegerField(default=1)
    # The texts that are sent, copied when the judge is made: they cannot change behind its back.
    template = models.TextField(blank=True)
    # annotation.judging.JudgeSettings, as JSON.
    settings = models.JSONField(default=dict, blank=True)
    # SHA-256 over model, protocol, template and settings: equal judges have equal keys.
    content_key = models.CharField(max_length=64, blank=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name", "version"], name="judge_version_unique"
            ),
            models.UniqueConstraint(
                fields=["name", "version"],
                name="judge_imported_version_unique",
                condition=Q(project__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class ProjectJudge(models.Model):
    """Which items of a project a judge takes."""

    class Takes(models.TextChoices):
        NONE = "none", "None"
        ALL = "all", "All items"
        UNLABELED = "unlabeled", "Items that nobody has judged yet"
        DISAGREED = "disagreed", "Items where people disagree"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judge_choices")
    judge = models.ForeignKey(Judge, on_delete=models.CASCADE, related_name="choices")
    takes = models.CharField(max_length=10, choices=Takes.choices, default=Takes.NONE)
    # A sweep starts runs over what is new, within the project's budget.
    by_itself = models.BooleanField(default=False, db_default=False)
    looked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "judge"], name="project_judge_unique"),
        ]


class JudgeRun(models.Model):
    """One judge over a selection of items, under a hard budget. Its state is its job's."""

    class Purpose(models.TextChoices):
        JUDGE = "judge", "Judge"
        TRIAL = "trial", "Trial"
        REPEAT = "repeat", "Ask again, to measure its stability"
        CANARY = "canary", "Injected answers, to measure its safety"
        REWARD = "reward", "Rewards of a training run"

    # In its job's result, with the least that a larger cap must be.
    BY_CAP = "cap"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judge_runs")
    judge = models.ForeignKey(Judge, on_delete=models.PROTECT, related_name="runs")
    purpose = models.CharField(max_length=8, choices=Purpose.choices, default=Purpose.JUDGE)
    # Null for the rewards of a training run, which has a job of its own.
    job = models.OneToOneField(
        Job, null=True, blank=True, on_delete=models.PROTECT, related_name="judge_run"
    )
    # Of the project, frozen when the run was queued: its criteria and guidelines are in the prompt.
    # Null: a run from before this was kept.
    protocol = models.ForeignKey(
        Protocol, null=True, on_delete=models.PROTECT, related_name="judge_runs"
    )
    # {"takes": "unlabeled"} or {"items": [1, 2]}, and {"limit": 100}
    selection = models.JSONField(default=dict)
    # Dollars: never more than this is spent or reserved.
    cap = models.DecimalField(**COST)
    reserved = models.DecimalField(default=0, **COST)
    settled = models.DecimalField(default=0, **COST)
    # What replies cost beyond the cap, because more came back than was asked for; it stops the run.
    overrun = models.DecimalField(default=0, **COST)
    # What the estimate said before the start: {"items": …, "calls": …, "cost": …, "seconds": …}
    estimate = models.JSONField(default=dict)
    paused_at = models.DateTimeField(null=True, blank=True)
    # By a person: calls that the endpoint failed before are asked anew.
    resumed_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="judge_run_keeps_its_cap",
                condition=Q(settled__gte=0)
                & Q(reserved__gte=0)
                & Q(cap__gte=F("settled") + F("reserved")),
            ),
        ]

    @property
    def stopped_by_cap(self) -> bool:
        """Ended because nothing more fits under its cap: a larger one lets it go on."""
        job = self.job
        if job is None or job.state != Job.State.FAILED:
            return False
        return bool(job.result.get("stopped_by") == self.BY_CAP)

    @property
    def least_cap(self) -> Decimal:
        """0, unless its cap has stopped it: then what is spent, and the cheapest call to come."""
        least = self.job.result["least"] if self.job and self.stopped_by_cap else 0
        return Decimal(least).quantize(SMALLEST, rounding=ROUND_UP)


class JudgeCall(models.Model):
    """One call of a judge's model; the row is written before the call, so none is paid unseen."""

    class State(models.TextChoices):
        INTENDED = "intended"
        DONE = "done"
        FAILED = "failed"
        # Nobody knows whether it was answered, or the endpoint is to blame that it was not: asked
        # once more as another row. What may have cost something is booked.
        UNKNOWN = "unknown"

    judge = models.ForeignKey(Judge, on_delete=models.PROTECT, related_name="calls", db_index=False)
    run = models.ForeignKey(JudgeRun, on_delete=models.PROTECT, related_name="calls")
    # Null for a reward: what was judged is no item.
    item = models.ForeignKey(
        Item, null=True, on_delete=models.CASCADE, related_name="judge_calls", db_index=False
    )
    # Of judge version, canonical content, shown order, sample index, purpose; and of the attempt
    # where an earlier one is unknown.
    call_key = models.CharField(max_length=64, unique=True)
    # judge, repeat 1, canary <attack>, trial, reward; behind a slash the stage: verdict, reason,
    # repair.
    purpose = models.CharField(max_length=60)
    shown_order = ArrayField(models.PositiveSmallIntegerField(), default=list)
    sample_index = models.PositiveSmallIntegerField(default=0)
    attempt = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=10, choices=State.choices, default=State.INTENDED)
    # Model asked for, temperature, seed, allowed output; hashes of the template and of the content,
    # and the version of the project's guidelines: what was asked can be made again.
    parameters = models.JSONField(default=dict, blank=True)
    # Text, finish reason, log-probabilities, the model and fingerprint that the endpoint named.
    reply = models.JSONField(default=dict, blank=True)
    # What was read in it, in canonical order, or why nothing was.
    verdict = models.JSONField(default=dict, blank=True)
    error = models.CharField(max_length=500, blank=True)
    # Requests sent for it: those before the last were turned away, and cost nothing.
    tries = models.PositiveSmallIntegerField(default=0)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    reserved_cost = models.DecimalField(default=0, **COST)
    settled_cost = models.DecimalField(default=0, **COST)
    latency_ms = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["judge", "item"], name="judge_call_item"),
            models.Index(
                fields=["run", "created_at"],
                name="judge_call_intended",
                condition=Q(state="intended"),
            ),
        ]


class JudgeVerdict(models.Model):
    """What a judge's calls on an item came to. Only those of purpose `judge` are judgments."""

    class Outcome(models.TextChoices):
        JUDGED = "judged"
        # No answer could be read, not even after one repair; never taken for a tie.
        UNPARSABLE = "unparsable"
        # The endpoint refused, or every try failed.
        FAILED = "failed"

    judge = models.ForeignKey(Judge, on_delete=models.PROTECT, related_name="verdicts")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="judge_verdicts")
    run = models.ForeignKey(JudgeRun, on_delete=models.PROTECT, related_name="verdicts")
    # As in JudgeCall, without the stage.
    purpose = models.CharField(max_length=60)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    judgment = models.OneToOneField(
        "Judgment", null=True, on_delete=models.PROTECT, related_name="judge_verdict"
    )
    calls = ArrayField(models.BigIntegerField(), default=list)
    # {"criteria": {key: {"answer": {…}, "probabilities": […], "raw": [{"shown_order": [1, 0],
    #  "sample": 0, …}], "consistent": false, "scores": […]}}, "reason": "…"}
    detail = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["judge", "item", "purpose"], name="judge_verdict_unique"
            ),
            models.CheckConstraint(
                name="judge_verdict_judgment_was_judged",
                condition=Q(judgment__isnull=True) | Q(outcome="judged"),
            ),
        ]
