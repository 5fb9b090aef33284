"""The loop of a project: its rounds, and the one in the making."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet, Sum

from annotation.models import Item, Project
from core.models import Job
from feedback.models import Snapshot
from training.models import ModelVersion, Promotion, Round, TrainingRun
from training.selectors.model import scores_answers


@dataclass(frozen=True)
class BatchProgress:
    items: int
    judgments: int
    wanted: int


@dataclass(frozen=True)
class RoundSteps:
    """One pass of the loop; a step that has not happened yet is None."""

    number: int
    snapshot: Snapshot | None
    run: TrainingRun | None
    version: ModelVersion | None
    promotion: Promotion | None
    batch: BatchProgress | None


def rounds(project: Project) -> list[RoundSteps]:
    """Newest first, with the items that each round has given to the labelers."""
    done = Round.objects.filter(loop__project=project).select_related(
        "snapshot", "run__job", "version", "promotion__by"
    )
    batches = _batches(project, [one.batch for one in done])
    return [
        RoundSteps(
            one.number, one.snapshot, one.run, one.version, one.promotion, batches.get(one.batch)
        )
        for one in done
    ]


def next_round(project: Project) -> RoundSteps:
    """What exists of the round that comes next: the newest version that could be promoted and that
    no round has yet, with what made it; without one the newest run, and without that the newest
    snapshot."""
    last = Round.objects.filter(loop__project=project).first()
    snapshots = Snapshot.objects.filter(project=project, replaced_by=None)
    runs = TrainingRun.objects.filter(project=project).select_related("job", "snapshot")
    versions = ModelVersion.objects.filter(project=project, run__isnull=False)
    if last is not None:
        snapshots = snapshots.filter(pk__gt=last.snapshot_id or 0)
        runs = runs.filter(pk__gt=last.run_id or 0)
        versions = versions.filter(pk__gt=last.version_id or 0)
    newest = versions.select_related("run__job", "run__snapshot").order_by("-number")
    version = next((one for one in newest.iterator() if not scores_answers(one)), None)
    number = last.number + 1 if last else 1
    if version is not None and version.run is not None:
        steps = version.run.snapshot, version.run, version, _promotion_in_force(version)
        return RoundSteps(number, *steps, None)
    run = runs.first()
    frozen = run.snapshot if run else snapshots.first()
    return RoundSteps(number, frozen, run, None, None, None)


def _promotion_in_force(version: ModelVersion) -> Promotion | None:
    """None once it was rolled back; a later one of another version leaves it done."""
    own = version.promotions.filter(action=Promotion.Action.PROMOTE).first()
    if own is None:
        return None
    undone = Promotion.objects.filter(
        previous=version, action=Promotion.Action.ROLL_BACK, pk__gt=own.pk
    )
    return None if undone.exists() else own


def work_in_progress(project: Project) -> QuerySet[Job]:
    """Training's jobs of the project that are not over."""
    return Job.objects.select_related("training_run").filter(
        project_id=project.pk,
        kind__in=["train", "sample_responses"],
        state__in=[Job.State.QUEUED, Job.State.RUNNING],
    )


@dataclass(frozen=True)
class LoopAtAGlance:
    project: Project
    promoted: ModelVersion | None
    run: TrainingRun | None


def loops_at_a_glance(limit: int = 12) -> list[LoopAtAGlance]:
    """The projects that have trained, the one with the newest run first."""
    newest: dict[int, TrainingRun] = {}
    runs = TrainingRun.objects.select_related("project", "job")
    for run in runs.order_by("project_id", "-pk").distinct("project_id"):
        newest[run.project_id] = run
    latest = sorted(newest.values(), key=lambda run: -run.pk)[:limit]
    current = {
        promotion.project_id: promotion.version
        for promotion in Promotion.objects.filter(project__in=[run.project_id for run in latest])
        .select_related("version")
        .order_by("project_id", "-pk")
        .distinct("project_id")
    }
    return [LoopAtAGlance(run.project, current.get(run.project_id), run) for run in latest]


def _batches(project: Project, names: list[str]) -> dict[str, BatchProgress]:
    rows = (
        Item.objects.filter(project=project, batch__in=names, origin=Item.Origin.CREATED)
        .values("batch")
        .annotate(
            items=Count("pk", distinct=True),
            judgments=Count(
                "assignments", filter=Q(assignments__state="done", assignments__takes_slot=True)
            ),
        )
    )
    wanted = dict(
        Item.objects.filter(project=project, batch__in=names)
        .values_list("batch")
        .annotate(wanted=Sum("overlap"))
    )
    return {
        row["batch"]: BatchProgress(row["items"], row["judgments"], wanted[row["batch"]])
        for row in rows
    }
