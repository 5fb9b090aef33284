"""The acceptance rule of a project: read as it stands, changed by a new version."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max

from annotation.models import Project
from core.errors import Conflict, PrefloopError
from core.models import User
from core.services.audit import record_event
from feedback.models import Policy, Resolution


@dataclass(frozen=True)
class PolicyValues:
    """A rule before it is saved; `weights` by annotator id, 0 excludes."""

    aggregation: str
    min_judgments: int
    min_agreement: float
    count_judges: bool
    weights: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, policy: Policy) -> PolicyValues:
        return cls(
            aggregation=policy.aggregation,
            min_judgments=policy.min_judgments,
            min_agreement=policy.min_agreement,
            count_judges=policy.count_judges,
            weights=dict(policy.weights),
        )

    def unsaved(self, project: Project) -> Policy:
        """A row for trying the rule; raises what is wrong with it."""
        policy = Policy(project=project, version=0, **vars(self))
        try:
            policy.clean_fields(exclude=["project", "created_by"])
        except ValidationError as error:
            raise PrefloopError(" ".join(error.messages)) from error
        if any(weight < 0 for weight in self.weights.values()):
            raise PrefloopError("A weight cannot be negative; 0 leaves an annotator out.")
        return policy


def current_policy(project: Project) -> Policy:
    """The newest version; the first is made on first use.

    A project where fewer people judge an item than the rule would wait for could never decide.
    """
    policy = project.policies.order_by("-version").first()
    if policy is not None:
        return policy
    first, _ = Policy.objects.get_or_create(
        project=project, version=1, defaults={"min_judgments": min(2, project.overlap)}
    )
    return first


@transaction.atomic
def revise_policy(
    *, project: Project, actor: User, values: PolicyValues, from_version: int
) -> Policy:
    """A new version, or the one in force when nothing changed. The caller resolves with it."""
    lock_resolution(project)
    current = current_policy(project)
    if PolicyValues.of(current) == values:
        return current
    if current.version != from_version:
        raise Conflict(
            f"Somebody else has saved version {current.version} of this policy since you opened "
            "it. Look at theirs, then make your change again."
        )
    values.unsaved(project)
    newest = project.policies.aggregate(newest=Max("version"))["newest"] or 0
    policy = Policy.objects.create(
        project=project, version=newest + 1, created_by=actor, **vars(values)
    )
    record_event(
        actor=actor, action="revise_policy", target=policy, project_id=project.pk,
        detail={"version": policy.version},
    )  # fmt: skip
    return policy


def lock_resolution(project: Project) -> Resolution:
    """Held to the end of the transaction by whoever decides about a project's items."""
    Resolution.objects.get_or_create(project=project)
    return Resolution.objects.select_for_update(of=("self",)).get(project=project)
