"""How well the labelers of a project work."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import project_of
from core.api.endpoint import Endpoint
from core.api.schema import operation
from core.errors import PrefloopError
from core.models import ApiToken
from core.serializers import JobOut
from feedback.quality_serializers import QualityOut
from feedback.selectors.labelers import labelers_of
from feedback.services.measure_quality import request_quality
from feedback.services.policy import current_policy
from feedback.statistics.intervals import LEVEL, MINIMUM_ANSWERS


class NotMeasured(PrefloopError):
    """A large project whose labelers nobody has measured yet."""

    code = "not_measured"


class Quality(Endpoint):
    scope = {"GET": ApiToken.Scope.READ, "POST": ApiToken.Scope.WRITE}

    @operation(
        "How well each labeler works",
        response=QualityOut,
        description="People and imported annotators by their ids, those who need a look first. "
        "Small projects are measured as you ask, large ones in the background: `as_of` says when.",
    )
    def get(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        labelers = labelers_of(project, current_policy(project))
        if labelers is None:
            raise NotMeasured("The labelers are not measured yet. Ask for it with POST.")
        found = {
            "as_of": labelers.as_of,
            "level": LEVEL,
            "minimum": MINIMUM_ANSWERS,
            "labelers": labelers.rows,
        }
        return self.rendered(QualityOut, found)

    @operation("Measure the labelers of a large project now", response=JobOut, code=202)
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        job = request_quality(project=project, by=self.user)
        if job is None:
            raise PrefloopError("This project is small: its labelers are measured as you ask.")
        return self.rendered(JobOut, job, code=202)
