"""Projects as pages show them: how far they are, and who works in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Exists, F, IntegerField, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from annotation.access import MAY, Capability
from annotation.models import Annotator, Assignment, Item, Membership, Project
from core.models import User


@dataclass(frozen=True)
class Progress:
    """`slots` are those of items that were not closed early, `filled` what people have taken."""

    items: int = 0
    open_items: int = 0
    held_items: int = 0
    slots: int = 0
    filled: int = 0
    closed_slots: int = 0

    @property
    def percent(self) -> int | None:
        """How much is judged; an item that was closed needs nobody any more."""
        slots = self.slots + self.closed_slots
        return 100 * (self.filled + self.closed_slots) // slots if slots else None


@dataclass(frozen=True)
class Funnel:
    prompts: int
    responses: int
    judged_items: int
    judgments: int
    progress: Progress


def progress_of(projects: Sequence[Project]) -> dict[int, Progress]:
    """One query for all of them."""
    # Gold takes no slots: what it has left is nobody's work.
    asked, closed = Q(closed_at=None, is_gold=False), Q(closed_at__isnull=False, is_gold=False)
    taken = F("overlap") - F("open_slots")
    rows = (
        Item.objects.filter(project__in=[project.pk for project in projects])
        .values("project_id")
        .annotate(
            n=Count("pk"),
            n_open=Count("pk", filter=Q(is_open=True)),
            n_held=Count("pk", filter=Q(held_at__isnull=False)),
            n_slots=Coalesce(Sum("overlap", filter=asked), 0),
            n_filled=Coalesce(Sum(taken, filter=asked), 0),
            n_closed=Coalesce(Sum("overlap", filter=closed), 0),
        )
    )
    return {
        row["project_id"]: Progress(
            items=row["n"], open_items=row["n_open"], held_items=row["n_held"],
            slots=row["n_slots"], filled=row["n_filled"], closed_slots=row["n_closed"],
        )
        for row in rows
    }  # fmt: skip


def funnel(project: Project) -> Funnel:
    answered = Assignment.objects.filter(
        occasion=Assignment.MAIN, state=Assignment.State.DONE, item__project=project
    )
    return Funnel(
        prompts=project.prompts.count(),
        responses=project.prompts.aggregate(n=Count("responses"))["n"],
        judged_items=answered.aggregate(n=Count("item_id", distinct=True))["n"],
        judgments=answered.count(),
        progress=progress_of([project]).get(project.pk, Progress()),
    )


def projects_where(user: User, needed: Capability) -> QuerySet[Project]:
    """Projects, archived ones apart, in which the user may do this."""
    projects = Project.objects.filter(archived_at=None)
    if user.is_admin:
        return projects
    roles = [role for role, may in MAY.items() if needed in may]
    mine = Membership.objects.filter(
        project=OuterRef("pk"), user=user, role__in=roles, state=Membership.State.ACTIVE
    )
    return projects.filter(Exists(mine))


def roles_of(user: User, projects: Sequence[Project]) -> dict[int, Membership]:
    found = Membership.objects.filter(user=user, project__in=[project.pk for project in projects])
    return {membership.project_id: membership for membership in found}


def members(project: Project) -> list[Membership]:
    """With `judgments`, how many each has made here; those who left are at the end."""
    made = dict(
        Assignment.objects.filter(
            item__project=project, state=Assignment.State.DONE, annotator__user__isnull=False
        )
        .values_list("annotator__user_id")
        .annotate(n=Count("pk"))
    )
    people = sorted(
        project.memberships.select_related("user"),
        key=lambda one: (one.state == Membership.State.LEFT, one.user.username.lower()),
    )
    for membership in people:
        membership.judgments = made.get(membership.user_id, 0)  # type: ignore[attr-defined]
    return people


@dataclass(frozen=True)
class Source:
    """Others who judged: the workers of one data set, or one judge."""

    name: str
    is_judge: bool
    annotators: int
    judgments: int


def other_sources(project: Project) -> list[Source]:
    rows = (
        Annotator.objects.filter(user=None, assignments__item__project=project)
        .values("judge__name", "source", "application")
        .annotate(
            people=Count("pk", distinct=True),
            made=Count("assignments", output_field=IntegerField()),
        )
        .order_by("judge__name", "source")
    )
    return [
        Source(
            name=row["judge__name"] or row["source"] or row["application"],
            is_judge=row["judge__name"] is not None,
            annotators=row["people"],
            judgments=row["made"],
        )
        for row in rows
    ]
