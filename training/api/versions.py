"""Model versions, which one is promoted, and what it writes for the labelers."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import found, project_of
from core.api.endpoint import Endpoint, ListEndpoint
from core.api.schema import operation
from core.errors import PrefloopError
from core.models import ApiToken
from core.serializers import JobOut
from training.models import ModelVersion, Promotion
from training.selectors.lineage import lineage_of
from training.selectors.loop import rounds
from training.selectors.promotion import promoted_version
from training.serializers import (
    NoteIn,
    PromoteIn,
    PromotionOut,
    RoundsOut,
    SampleIn,
    VersionDetailOut,
    VersionOut,
)
from training.services import promote_version, request_samples, roll_back

READ, ADMIN = ApiToken.Scope.READ, ApiToken.Scope.ADMIN


class Versions(ListEndpoint[ModelVersion]):
    scope = READ
    serializer_class = VersionOut

    @operation("Model versions", response=VersionOut(many=True))
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[ModelVersion]:
        self.project = project_of(self, Capability.RESEARCH)
        self.chosen()
        return ModelVersion.objects.filter(project=self.project).select_related("generator")

    def get_serializer_context(self) -> dict[str, Any]:
        promoted = promoted_version(self.project)
        return {**super().get_serializer_context(), "promoted": promoted}


class _OneVersion(Endpoint):
    scope = READ

    def version(self, needed: Capability = Capability.RESEARCH) -> ModelVersion:
        rows = ModelVersion.objects.visible_to(self.user)
        rows = rows.select_related("generator", "project", "run__snapshot", "run__job")
        return found(rows, self, self.kwargs["version_id"], needed)[0]


class OneVersion(_OneVersion):
    @operation("A model version: lineage, evaluations, samples", response=VersionDetailOut)
    def get(self, request: Request, version_id: int) -> Response:
        version = self.version()
        context = {
            "promoted": promoted_version(version.project),
            "lineage": lineage_of(version),
        }
        return self.rendered(VersionDetailOut, version, context=context)


class PromoteVersion(_OneVersion):
    scope = ADMIN

    @operation("Promote a version", request=PromoteIn, response=PromotionOut, code=201)
    def post(self, request: Request, version_id: int) -> Response:
        version = self.version(Capability.TRAIN)
        given = self.given(PromoteIn)
        replacing = None
        if given["replacing"] is not None:
            replacing = version.project.model_versions.filter(pk=given["replacing"]).first()
            if replacing is None:
                raise PrefloopError("This project has no such version.", field="replacing")
        promotion = promote_version(
            version=version, replacing=replacing, by=self.user, note=given["note"]
        )
        return self.rendered(PromotionOut, promotion, code=201)


class RollBack(_OneVersion):
    scope = ADMIN

    @operation(
        "Take back a version's promotion",
        request=NoteIn,
        response=PromotionOut,
        code=201,
        description="The one before it is in use again.",
    )
    def post(self, request: Request, version_id: int) -> Response:
        version = self.version(Capability.TRAIN)
        promotion = roll_back(version=version, by=self.user, **self.given(NoteIn))
        return self.rendered(PromotionOut, promotion, code=201)


class SampleVersion(_OneVersion):
    scope = ADMIN

    @operation(
        "Let the promoted version answer prompts",
        request=SampleIn,
        response=JobOut,
        code=202,
        description="Its answers, beside those of the version before, become items in the "
        "labelers' queue.",
    )
    def post(self, request: Request, version_id: int) -> Response:
        version = self.version(Capability.TRAIN)
        job = request_samples(version=version, created_by=self.user, **self.given(SampleIn))
        return self.rendered(JobOut, job, code=202)


class Promotions(ListEndpoint[Promotion]):
    scope = READ
    serializer_class = PromotionOut

    @operation("Promotions and roll backs, newest first", response=PromotionOut(many=True))
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Promotion]:
        project = project_of(self, Capability.RESEARCH)
        self.chosen()
        return Promotion.objects.filter(project=project).select_related("by")


class Rounds(Endpoint):
    scope = READ

    @operation("The rounds of the loop, newest first", response=RoundsOut)
    def get(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        return self.rendered(RoundsOut, {"rounds": rounds(project)})
