"""Training runs: launch, follow, stop, resume."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import found, project_of
from annotation.models import Project
from core.api.endpoint import Endpoint, ListEndpoint
from core.api.schema import operation
from core.errors import PrefloopError
from core.models import ApiToken
from feedback.models import Snapshot
from training.alignment.methods import get_method
from training.models import TrainingRun
from training.selectors.budget import known_positions, run_budget
from training.selectors.run import curves
from training.serializers import (
    BudgetOut,
    LogOptions,
    LogOut,
    MetricsOut,
    ResumeTrainingIn,
    RunIn,
    RunOut,
)
from training.services import cancel_run, queue_run, resume_run
from training.services.child import log_tail
from training.services.rewards import check_rewards
from training.services.run import checked_config
from training.services.supervise import run_folder

READ, ADMIN = ApiToken.Scope.READ, ApiToken.Scope.ADMIN


class Runs(ListEndpoint[TrainingRun]):
    scope = {"GET": READ, "POST": ADMIN}
    serializer_class = RunOut

    @operation("Training runs", response=RunOut(many=True))
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[TrainingRun]:
        project = project_of(self, Capability.RESEARCH)
        self.chosen()
        rows = TrainingRun.objects.filter(project=project)
        return rows.select_related("job", "model_version")

    @operation(
        "Launch a run",
        request=RunIn,
        response=RunOut,
        code=201,
        description="Only admins train. Follow it by `GET runs/{run_id}`.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.TRAIN)
        given = self.given(RunIn)
        given["snapshot"] = snapshot_of(project, given["snapshot"])
        run = queue_run(project=project, created_by=self.user, **given)
        return self.rendered(RunOut, run, code=201)


class RunEstimate(Endpoint):
    scope = ADMIN

    @operation(
        "Estimate what a run would need",
        request=RunIn,
        response=BudgetOut,
        description="Memory and time before the start. Nothing is queued.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.TRAIN)
        given = self.given(RunIn)
        config = checked_config(
            method=given["method"],
            config=given["config"],
            positions=known_positions(project, given["base_model"]),
        )
        snapshot = snapshot_of(project, given["snapshot"])
        check_rewards(
            project=project,
            snapshot=snapshot,
            criterion=given["criterion"],
            method=get_method(given["method"]),
            config=config,
            evaluated_by=given["evaluated_by"],
        )
        budget = run_budget(
            project=project,
            snapshot=snapshot,
            method=given["method"],
            criterion=given["criterion"],
            base_model=given["base_model"],
            config=config,
            binary_from_pairs=given["binary_from_pairs"],
            rewrites=given["rewrites"],
        )
        return self.rendered(BudgetOut, budget)


def snapshot_of(project: Project, key: int) -> Snapshot:
    snapshot = Snapshot.objects.filter(project=project, pk=key).first()
    if snapshot is None:
        raise PrefloopError(f"This project has no snapshot {key}.", field="snapshot")
    return snapshot


class _OneRun(Endpoint):
    scope = READ

    def run(self, needed: Capability = Capability.RESEARCH) -> TrainingRun:
        rows = TrainingRun.objects.visible_to(self.user).select_related("job", "model_version")
        return found(rows, self, self.kwargs["run_id"], needed)[0]


class OneRun(_OneRun):
    @operation("A run", response=RunOut)
    def get(self, request: Request, run_id: int) -> Response:
        return self.rendered(RunOut, self.run())


class RunMetrics(_OneRun):
    @operation("The numbers that a run has measured so far", response=MetricsOut)
    def get(self, request: Request, run_id: int) -> Response:
        return self.rendered(MetricsOut, {"metrics": curves(self.run())})


class RunLog(_OneRun):
    @operation("The end of a run's log", response=LogOut, parameters=[LogOptions])
    def get(self, request: Request, run_id: int) -> Response:
        run = self.run()
        options = LogOptions(data=request.query_params.dict())
        options.is_valid(raise_exception=True)
        return self.rendered(LogOut, {"log": log_tail(run_folder(run), **options.validated_data)})


class CancelRun(_OneRun):
    scope = ADMIN

    @operation("Stop a run", response=RunOut, description="A running one saves its state first.")
    def post(self, request: Request, run_id: int) -> Response:
        run = self.run(Capability.TRAIN)
        cancel_run(run=run, actor=self.user)
        return self.rendered(RunOut, run)


class ResumeRun(_OneRun):
    scope = ADMIN

    @operation("Resume a run from its last checkpoint", request=ResumeTrainingIn, response=RunOut)
    def post(self, request: Request, run_id: int) -> Response:
        run = self.run(Capability.TRAIN)
        resume_run(run=run, actor=self.user, **self.given(ResumeTrainingIn))
        return self.rendered(RunOut, run)
