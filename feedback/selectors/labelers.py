"""The labelers of a project with their figures, as measured now or when last kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from annotation.models import Annotator, Project
from feedback.labeler_verdicts import Concern, concerns
from feedback.models import Policy
from feedback.quality_records import records_of
from feedback.selectors.quality import has_more_answers, load_work

# So many answers are measured within a second, so a page does it itself.
MEASURED_AT_ONCE = 20_000


@dataclass(frozen=True)
class Labeler:
    """One person (or imported annotator) with what is known of their work."""

    annotator: Annotator
    record: dict[str, Any]
    concerns: list[Concern]
    weight: float

    @property
    def figures(self) -> dict[str, Any]:
        return dict(self.record["figures"])

    @property
    def is_known(self) -> bool:
        """Whether any of the figures that a concern may rest on could be given."""
        return any(self.figures[key]["value"] is not None for key in ("gold", "kappa", "seconds",
                   "first_side", "same_again", "same_answer"))  # fmt: skip

    @property
    def name(self) -> str:
        """Only for those who manage people."""
        return str(self.annotator.user) if self.annotator.user else self.annotator.source


@dataclass(frozen=True)
class Labelers:
    """Those who need a look first, then those with most answers."""

    rows: list[Labeler]
    group: dict[str, Any]
    as_of: datetime
    is_live: bool

    @property
    def troubled(self) -> list[Labeler]:
        return [one for one in self.rows if one.concerns]

    @property
    def unknown(self) -> int:
        return sum(not one.is_known for one in self.rows)


def is_measured_at_once(project: Project) -> bool:
    return not has_more_answers(project, MEASURED_AT_ONCE)


def labelers_of(project: Project, policy: Policy) -> Labelers | None:
    """None where the project is large and was not measured yet."""
    if is_measured_at_once(project):
        as_of = timezone.now()
        return _labelers(records_of(load_work(project, policy)), policy, as_of, is_live=True)
    report = project.quality_reports.first()
    if report is None:
        return None
    return _labelers(report.figures, policy, report.created_at, is_live=False)


def _labelers(figures: dict[str, Any], policy: Policy, as_of: datetime, is_live: bool) -> Labelers:
    records = figures["labelers"]
    annotators = Annotator.objects.select_related("user").in_bulk(
        [record["annotator"] for record in records]
    )
    rows = [
        Labeler(
            annotator=annotators[record["annotator"]],
            record=record,
            concerns=concerns(record, figures["group"]),
            weight=float(policy.weights.get(str(record["annotator"]), 1)),
        )
        for record in records
        if record["annotator"] in annotators
    ]
    rows.sort(key=lambda one: (-len(one.concerns), -one.record["answers"], one.annotator.pk))
    return Labelers(rows, figures["group"], as_of, is_live)
