"""Runs of a judge by REST: estimated, started under a cap, paused, resumed and stopped."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import Count, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import found, project_of
from annotation.api.judges import READ, WRITE, OfOneJudge
from annotation.models import JudgeRun
from annotation.serializers.judges import (
    JudgeRunEstimateIn,
    JudgeRunEstimateOut,
    JudgeRunIn,
    JudgeRunOut,
    ResumeIn,
)
from annotation.services.judge_run import (
    estimate_run,
    pause_run,
    queue_run,
    resume_run,
    stop_run,
)
from core.api.endpoint import Endpoint, ListEndpoint
from core.api.schema import operation
from core.errors import PrefloopError


def _rows() -> QuerySet[JudgeRun]:
    return JudgeRun.objects.select_related("project", "judge", "job").annotate(
        done=Count("verdicts")
    )


def _selection(given: dict[str, Any]) -> dict[str, Any]:
    chosen = {name: value for name, value in given.items() if value is not None}
    if "takes" in chosen and "items" in chosen:
        raise PrefloopError("Give either `takes` or `items`.", field="selection")
    return chosen


class JudgeRuns(ListEndpoint[JudgeRun]):
    scope = READ
    serializer_class = JudgeRunOut

    @operation("Runs of a project's judges", response=JudgeRunOut(many=True))
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[JudgeRun]:
        project = project_of(self, Capability.RESEARCH)
        self.chosen()
        return _rows().filter(project=project)


class StartJudgeRun(OfOneJudge):
    scope = WRITE

    @operation(
        "Run a judge",
        request=JudgeRunIn,
        response=JudgeRunOut,
        code=201,
        description="Items that it has answered are not asked about again. Follow it by "
        "`GET judge-runs/{judge_run_id}`.",
    )
    def post(self, request: Request, judge_id: int) -> Response:
        judge, given = self.judge(), self.given(JudgeRunIn)
        assert judge.project is not None  # noqa: S101  # `found` looks through it
        run = queue_run(
            project=judge.project,
            judge=judge,
            selection=_selection(given["selection"]),
            cap=round(Decimal(str(given["cap"])), 6),
            purpose=given["purpose"],
            created_by=self.user,
        )
        return self.rendered(JudgeRunOut, run, code=201)


class EstimateJudgeRun(OfOneJudge):
    scope = READ

    @operation(
        "Estimate a run",
        request=JudgeRunEstimateIn,
        response=JudgeRunEstimateOut,
        description="Items, calls, tokens, dollars and time. Nothing is asked.",
    )
    def post(self, request: Request, judge_id: int) -> Response:
        judge, given = self.judge(), self.given(JudgeRunEstimateIn)
        assert judge.project is not None  # noqa: S101  # `found` looks through it
        told = estimate_run(
            project=judge.project,
            judge=judge,
            selection=_selection(given["selection"]),
            purpose=given["purpose"],
        )
        return self.rendered(JudgeRunEstimateOut, told)


class _OneRun(Endpoint):
    def run(self) -> JudgeRun:
        return found(_rows(), self, self.kwargs["judge_run_id"], Capability.RESEARCH)[0]


class OneJudgeRun(_OneRun):
    scope = READ

    @operation("A run of a judge", response=JudgeRunOut)
    def get(self, request: Request, judge_run_id: int) -> Response:
        return self.rendered(JudgeRunOut, self.run())


class PauseJudgeRun(_OneRun):
    scope = WRITE

    @operation("Pause a run", response=JudgeRunOut, description="Calls that are out come back.")
    def post(self, request: Request, judge_run_id: int) -> Response:
        pause_run(run=self.run(), actor=self.user)
        return self.rendered(JudgeRunOut, self.run())


class ResumeJudgeRun(_OneRun):
    scope = WRITE

    @operation(
        "Resume a run",
        request=ResumeIn,
        response=JudgeRunOut,
        description="Nothing is asked twice. A run that its cap has stopped needs a larger one.",
    )
    def post(self, request: Request, judge_run_id: int) -> Response:
        run, given = self.run(), self.given(ResumeIn)
        cap = given.get("cap")
        money = None if cap is None else round(Decimal(str(cap)), 6)
        resume_run(run=run, actor=self.user, cap=money)
        return self.rendered(JudgeRunOut, self.run())


class StopJudgeRun(_OneRun):
    scope = WRITE

    @operation("Stop a run", response=JudgeRunOut, description="What was answered is kept.")
    def post(self, request: Request, judge_run_id: int) -> Response:
        stop_run(run=self.run(), actor=self.user)
        return self.rendered(JudgeRunOut, self.run())
