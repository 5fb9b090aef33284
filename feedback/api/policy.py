"""The acceptance rule."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import project_of
from annotation.models import Annotator, Project
from core import jobs
from core.api.endpoint import Endpoint
from core.api.schema import operation
from core.errors import PrefloopError
from core.models import ApiToken
from core.pagination import is_key
from feedback.selectors.policy import preview_policy, weighed_annotators
from feedback.serializers import (
    AnnotatorsOut,
    PolicyIn,
    PolicyOut,
    PolicySet,
    PolicyValuesIn,
    PreviewOut,
)
from feedback.services.policy import PolicyValues, current_policy, revise_policy


class OnePolicy(Endpoint):
    scope = {"GET": ApiToken.Scope.READ, "PUT": ApiToken.Scope.WRITE}

    @operation("The policy in force", response=PolicyOut)
    def get(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        return self.rendered(PolicyOut, current_policy(project))

    @operation(
        "Set the policy",
        request=PolicyIn,
        response=PolicySet,
        description="A change is a new version, and all items are decided anew by it.",
    )
    def put(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        given: dict[str, Any] = self.given(PolicyIn)
        from_version = given.pop("from_version")
        _check_annotators(project, given["weights"])
        policy = revise_policy(
            project=project,
            actor=self.user,
            values=PolicyValues(**given),
            from_version=from_version,
        )
        job = None
        if policy.version != from_version:
            job = jobs.enqueue(
                "resolve_items",
                args={"everything": True},
                created_by=self.user,
                project_id=project.pk,
            )
        return self.rendered(PolicySet, {"policy": policy, "job": job})


class PreviewPolicy(Endpoint):
    # Nothing is written.
    scope = ApiToken.Scope.READ

    @operation("See what a policy would change", request=PolicyValuesIn, response=PreviewOut)
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        given = self.given(PolicyValuesIn)
        _check_annotators(project, given["weights"])
        policy = PolicyValues(**given).unsaved(project)
        return self.rendered(PreviewOut, preview_policy(project, policy))


class Annotators(Endpoint):
    scope = ApiToken.Scope.READ

    @operation("Whose judgments count, and how much", response=AnnotatorsOut)
    def get(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        people = weighed_annotators(project, current_policy(project))
        return self.rendered(AnnotatorsOut, {"annotators": people})


def _check_annotators(project: Project, weights: dict[str, float]) -> None:
    keys = {int(key) for key in weights if is_key(key)}
    known = Annotator.objects.filter(pk__in=keys, assignments__item__project=project)
    if len(weights) != known.distinct().count():
        raise PrefloopError(
            "Weights are by the id of annotators who have judged in this project.", field="weights"
        )
