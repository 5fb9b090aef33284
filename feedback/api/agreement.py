"""How well people agree, and judges with people."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import project_of
from core import jobs
from core.api.endpoint import Endpoint
from core.api.schema import operation
from core.models import ApiToken
from core.serializers import JobOut
from feedback.selectors.agreement import newest_reports, unfinished_job
from feedback.selectors.preferences import stale_of
from feedback.serializers import AgreementReportsOut


class Agreement(Endpoint):
    scope = {"GET": ApiToken.Scope.READ, "POST": ApiToken.Scope.WRITE}

    @operation(
        "Agreement, as measured last",
        response=AgreementReportsOut,
        description="A report for each kind and criterion; it is measured anew in the background "
        "when judgments have come in.",
    )
    def get(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        reports = {"is_behind": stale_of(project).exists(), "reports": newest_reports(project)}
        return self.rendered(AgreementReportsOut, reports)

    @operation("Measure agreement now", response=JobOut, code=202)
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        job = unfinished_job(project, "measure_agreement") or jobs.enqueue(
            "measure_agreement", created_by=self.user, project_id=project.pk
        )
        return self.rendered(JobOut, job, code=202)
