"""Leaves an annotator out, counts them more or less, or fully again: a new policy version."""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction

from annotation.models import Annotator, Project
from core import jobs
from core.models import User
from core.services.audit import record_event
from feedback.models import Policy
from feedback.services.policy import PolicyValues, current_policy, revise_policy


@transaction.atomic
def weigh_annotator(
    *, project: Project, actor: User, annotator: Annotator, weight: float, from_version: int
) -> Policy:
    """Refused when somebody has changed the policy since; all items are decided anew."""
    current = current_policy(project)
    values = with_weight(PolicyValues.of(current), annotator, weight)
    policy = revise_policy(project=project, actor=actor, values=values, from_version=from_version)
    if policy.pk == current.pk:
        return policy
    record_event(
        actor=actor, action="weigh_annotator", target=annotator, project_id=project.pk,
        detail={
            "weight": weight,
            "was": weight_in(current, annotator),
            "policy_version": policy.version,
        },
    )  # fmt: skip
    jobs.enqueue(
        "resolve_items", args={"everything": True}, created_by=actor, project_id=project.pk
    )
    return policy


def with_weight(values: PolicyValues, annotator: Annotator, weight: float) -> PolicyValues:
    """1 is not worth a word."""
    weights = {**values.weights, str(annotator.pk): weight}
    return replace(values, weights={key: one for key, one in weights.items() if one != 1})


def weight_in(policy: Policy, annotator: Annotator) -> float:
    """How much the annotator counts under this version."""
    return float(policy.weights.get(str(annotator.pk), 1))
