"""What the judges of a project may spend together, and who may let them without a budget."""

from __future__ import annotations

from decimal import Decimal

from django.db.models import Case, DecimalField, F, Q, Sum, When

from annotation.access import Capability, capabilities
from annotation.models import JudgeRun, Project
from core.errors import NotAllowed, PrefloopError
from core.models import Job, User

# Of one run, by those who do not manage the project.
MOST_WITHOUT_BUDGET = Decimal(10)


def check_budget(
    *, project: Project, cap: Decimal, actor: User | None, run: JudgeRun | None = None
) -> None:
    """Refuses a cap that the budget does not hold; `run` is the one that is to have it.

    In the caller's transaction, which holds the project's row from here on: of two runs that
    start at once, the second counts the first.
    """
    budget = Project.objects.select_for_update(no_key=True).get(pk=project.pk).judge_budget
    if budget is None:
        _check_person(project, cap, actor)
        return
    left = budget - bound_by_runs(project, without=run)
    if cap > left:
        raise PrefloopError(
            f"The project's judges may spend ${budget:,.2f} together. What they have spent, and "
            f"the caps of runs that are not over, leave ${max(left, Decimal(0)):,.2f}. Choose a "
            "lower cap, or ask a manager to raise the budget in the project's settings.",
            field="cap",
        )


def _check_person(project: Project, cap: Decimal, actor: User | None) -> None:
    if actor is None or cap <= MOST_WITHOUT_BUDGET:
        return
    if Capability.MANAGE not in capabilities(actor, project):
        raise NotAllowed(
            f"The project has no budget for judges, so you may start runs of at most "
            f"${MOST_WITHOUT_BUDGET}. Choose a lower cap, or ask a manager to set a budget in the "
            "project's settings.",
            field="cap",
        )


def bound_by_runs(project: Project, *, without: JudgeRun | None = None) -> Decimal:
    """Spent by runs that are over, and the caps of all others.

    Rewards have no job of their own: their caps count for as long as they stand.
    """
    runs = JudgeRun.objects.filter(project=project).exclude(pk=without.pk if without else 0)
    booked = F("settled") + F("overrun")
    bound = Case(
        When(Q(job__state__in=Job.ENDED), then=booked + F("reserved")),
        default=F("cap") + F("overrun"),
        output_field=DecimalField(max_digits=20, decimal_places=8),
    )
    return runs.aggregate(all=Sum(bound))["all"] or Decimal(0)
