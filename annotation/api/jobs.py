"""The work in the background of a project."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import project_of
from core.api.endpoint import ListEndpoint
from core.api.schema import operation
from core.models import ApiToken, Job
from core.serializers import JobFilters, JobOut


class ProjectJobs(ListEndpoint[Job]):
    scope = ApiToken.Scope.READ
    serializer_class = JobOut
    filters = JobFilters

    @operation("A project's jobs", response=JobOut(many=True), parameters=[JobFilters])
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Job]:
        project = project_of(self, Capability.RESEARCH)
        return Job.objects.filter(project_id=project.pk, **self.chosen())
