"""Work in the background: how far it is, cancel, resume."""

from __future__ import annotations

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.endpoint import Endpoint
from core.api.schema import operation
from core.errors import NotAllowed
from core.jobs import Queue, may_see, may_stop, request_cancel, resume
from core.models import ApiToken, Job
from core.serializers import JobOut


class _OneJob(Endpoint):
    def job(self) -> Job:
        job = Job.objects.filter(pk=self.kwargs["job_id"]).first()
        if job is None or not may_see(self.user, job):
            raise Http404
        return job

    def own_job(self) -> Job:
        """Training needs an admin, and a token that is one's too."""
        job = self.job()
        if not may_stop(self.user, job) or (job.queue == Queue.GPU and not self._may_administer()):
            raise NotAllowed("Only an admin, with the scope `admin`, may stop or resume this job.")
        return job

    def _may_administer(self) -> bool:
        token = self.request.auth
        return not isinstance(token, ApiToken) or ApiToken.Scope.ADMIN in token.scopes


class OneJob(_OneJob):
    scope = ApiToken.Scope.READ

    @operation("A job", response=JobOut, description="Ask again until `is_over`.")
    def get(self, request: Request, job_id: int) -> Response:
        return self.rendered(JobOut, self.job())


class CancelJob(_OneJob):
    scope = ApiToken.Scope.WRITE

    @operation(
        "Cancel a job",
        response=JobOut,
        description="A queued job ends at once; a running one is asked, and stops by itself.",
    )
    def post(self, request: Request, job_id: int) -> Response:
        return self.rendered(JobOut, request_cancel(job=self.own_job()))


class ResumeJob(_OneJob):
    scope = ApiToken.Scope.WRITE

    @operation("Resume a failed or cancelled job", response=JobOut)
    def post(self, request: Request, job_id: int) -> Response:
        return self.rendered(JobOut, resume(job=self.own_job()))
