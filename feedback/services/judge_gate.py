"""The rule that a judge must pass, and whether it has: written whenever a card or a rule is new."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Max

from annotation.models import Project
from core.errors import Conflict, PrefloopError
from core.models import User
from core.services.audit import record_event
from feedback.judge_gate import GateValues, standing
from feedback.models import JudgeGate, JudgeReport, JudgeStanding
from feedback.selectors.judges import newest_cards
from feedback.services.policy import lock_resolution


def current_gate(project: Project) -> JudgeGate:
    """The newest version; the first is made on first use."""
    gate = project.judge_gates.order_by("-version").first()
    return gate or JudgeGate.objects.get_or_create(project=project, version=1)[0]


@transaction.atomic
def revise_gate(
    *, project: Project, actor: User, values: GateValues, from_version: int
) -> JudgeGate:
    """A new version, or the one in force when nothing changed; every judge stands or falls by it
    at once."""
    lock_resolution(project)
    current = current_gate(project)
    if GateValues.of(current) == values:
        return current
    if current.version != from_version:
        raise Conflict(
            f"Somebody else has saved version {current.version} of this gate since you opened it. "
            "Look at theirs, then make your change again."
        )
    newest = project.judge_gates.aggregate(newest=Max("version"))["newest"] or 0
    gate = _checked(project, values, newest + 1)
    gate.created_by = actor
    gate.save()
    record_event(
        actor=actor, action="revise_judge_gate", target=gate, project_id=project.pk,
        detail={"version": gate.version},
    )  # fmt: skip
    for report in newest_cards(project).values():
        decide_standing(report=report)
    return gate


def _checked(project: Project, values: GateValues, version: int) -> JudgeGate:
    gate = JudgeGate(
        project=project,
        version=version,
        **{**vars(values), "must_measure": list(values.must_measure)},
    )
    try:
        gate.clean_fields(exclude=["project", "created_by"])
    except ValidationError as error:
        raise PrefloopError(" ".join(error.messages)) from error
    return gate


@transaction.atomic
def decide_standing(*, report: JudgeReport) -> JudgeStanding:
    """A new row by the rule in force. Where other answers count now, items are decided anew."""
    lock_resolution(report.project)
    gate = current_gate(report.project)
    found = standing(report.figures, GateValues.of(gate))
    rows = JudgeStanding.objects.filter(project=report.project, judge=report.judge, is_newest=True)
    before = rows.select_related("report").first()
    rows.update(is_newest=False)
    row = JudgeStanding.objects.create(
        project=report.project,
        judge=report.judge,
        report=report,
        gate=gate,
        is_open=found.is_open,
        reasons=found.reasons,
    )
    if _counted(row) != _counted(before):
        _mark_stale(row)
    if row.is_open != (before is not None and before.is_open):
        record_event(
            actor=gate.created_by if before and before.gate_id != gate.pk else None,
            action="open_judge_gate" if row.is_open else "close_judge_gate",
            target=report.judge, project_id=report.project_id,
            detail={"report": report.pk, "gate": gate.version},
        )  # fmt: skip
    return row


def _counted(standing: JudgeStanding | None) -> set[tuple[str, str]]:
    """The kinds and criteria of the judge's answers that may count."""
    if standing is None or not standing.is_open:
        return set()
    return {(one["kind"], one["criterion"]) for one in standing.report.figures["sections"]}


_STALE = """
INSERT INTO feedback_staleitem (item_id)
SELECT DISTINCT asg.item_id FROM annotation_assignment asg
JOIN annotation_annotator ann ON ann.id = asg.annotator_id
JOIN annotation_item i ON i.id = asg.item_id
WHERE ann.judge_id = %s AND i.project_id = %s AND asg.occasion = 'main'
  AND asg.current_id IS NOT NULL
"""


def _mark_stale(row: JudgeStanding) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_STALE, [row.judge_id, row.project_id])
