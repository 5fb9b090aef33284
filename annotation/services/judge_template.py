"""A researcher's own texts for judges, and which items of a project a judge takes."""

from __future__ import annotations

from django.db import transaction

from annotation.judging.own_template import check_template
from annotation.judging.protocols.base import Template
from annotation.models import Judge, JudgeTemplate, Project, ProjectJudge, ProviderModel
from annotation.selectors.judge_choice import OWN
from annotation.services.judge import LONGEST_NAME, create_judge
from core.errors import PrefloopError
from core.models import User
from core.services.audit import record_event

# What judges of texts that are not saved are called.
DRAFT = "Draft"


@transaction.atomic
def save_template(
    *,
    project: Project,
    name: str,
    kind: str,
    answer_format: str,
    system: str,
    body: str,
    actor: User,
) -> JudgeTemplate:
    """The next version of the template of this name; the newest itself when nothing differs."""
    _check(kind, answer_format, system, body)
    # Two people who save at once get two versions, one after the other.
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    newest = project.judge_templates.filter(name=name).order_by("-version").first()
    texts = {"kind": kind, "answer_format": answer_format, "system": system, "body": body}
    if newest and all(getattr(newest, field) == value for field, value in texts.items()):
        return newest
    version = newest.version + 1 if newest else 1
    made = JudgeTemplate.objects.create(
        project=project, name=name, version=version, created_by=actor, **texts
    )
    record_event(
        actor=actor,
        action="save_judge_template",
        target=made,
        project_id=project.pk,
        detail={"name": name, "version": version},
    )
    return made


def draft_judge(
    *,
    project: Project,
    model: ProviderModel,
    name: str,
    kind: str,
    answer_format: str,
    system: str,
    body: str,
    actor: User,
) -> Judge:
    """A judge of a text that is not saved: to be tried, and nothing else."""
    _check(kind, answer_format, system, body)
    return create_judge(
        project=project,
        name=f"{DRAFT} of {name}"[:LONGEST_NAME] if name.strip() else DRAFT,
        model=model,
        protocol=OWN,
        template=Template(system, body, answer_format).to_json(),
        settings={},
        created_by=actor,
        origin=Judge.Origin.DRAFT,
    )


def _check(kind: str, answer_format: str, system: str, body: str) -> None:
    problems = check_template(kind, answer_format, system, body)
    if problems:
        raise PrefloopError(" ".join(problems), field="body")


@transaction.atomic
def set_project_judge(
    *, project: Project, judge: Judge, takes: str, actor: User, by_itself: bool = False
) -> ProjectJudge:
    """`by_itself`: a sweep starts runs over what is new, within the project's budget."""
    if takes not in ProjectJudge.Takes.values:
        allowed = ", ".join(ProjectJudge.Takes.values)
        raise PrefloopError(f"A judge takes one of {allowed}.", field="takes")
    if judge.project_id != project.pk:
        raise PrefloopError(
            "This judge came with a data set: it is never asked, so it takes no items.",
            field="takes",
        )
    if judge.origin == Judge.Origin.DRAFT:
        raise PrefloopError(
            "This is a text that is not saved: it is tried, and takes no items.", field="takes"
        )
    if by_itself and project.judge_budget is None:
        raise PrefloopError(
            "A judge that starts by itself spends money while nobody looks, so the project needs a "
            "budget for its judges. A manager sets one in the project's settings.",
            field="by_itself",
        )
    choice, _ = ProjectJudge.objects.update_or_create(
        project=project,
        judge=judge,
        # Looked at anew.
        defaults={"takes": takes, "by_itself": by_itself, "looked_at": None},
    )
    record_event(
        actor=actor,
        action="set_project_judge",
        target=judge,
        project_id=project.pk,
        detail={"takes": takes, "by_itself": by_itself},
    )
    return choice
