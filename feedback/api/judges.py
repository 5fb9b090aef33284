"""Judges' cards, and the gate that they must pass."""

from __future__ import annotations

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import project_of
from annotation.models import Project
from core.api.endpoint import Endpoint
from core.api.schema import operation
from core.errors import PrefloopError
from core.models import ApiToken
from core.serializers import JobOut
from feedback.judge_gate import GateValues
from feedback.judge_serializers import (
    AskedOut,
    AskMoreIn,
    GateIn,
    GateOut,
    JudgeCardOut,
    JudgeCardsOut,
)
from feedback.selectors.judge_rows import judges_of
from feedback.selectors.judges import JudgeRow, judge_row, judge_rows
from feedback.services.ask_more_people import ask_more_people
from feedback.services.judge_gate import current_gate, revise_gate
from feedback.services.measure_judges import request_judges


class JudgeCards(Endpoint):
    scope = {"GET": ApiToken.Scope.READ, "POST": ApiToken.Scope.WRITE}

    @operation(
        "Every judge's card",
        response=JudgeCardsOut,
        description="Agreement with people beside people's own on the same items, habits, safety "
        "and cost; a figure that was not measured is null and says how to measure it.",
        operation_id="projects_judge_cards_all",
    )
    def get(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        return self.rendered(JudgeCardsOut, {"judges": judge_rows(project)})

    @operation("Measure the judges now", response=JobOut, code=202)
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        job = request_judges(project=project, by=self.user)
        if job is None:
            raise PrefloopError("There is no judge here to measure.")
        return self.rendered(JobOut, job, code=202)


class JudgeCard(Endpoint):
    scope = ApiToken.Scope.READ

    @operation("One judge's card", response=JudgeCardOut)
    def get(self, request: Request, project_id: int, judge_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        return self.rendered(JudgeCardOut, _row(project, judge_id))


class AskMore(Endpoint):
    scope = ApiToken.Scope.WRITE

    @operation(
        "Ask more people where a judge and people disagree",
        request=AskMoreIn,
        response=AskedOut,
        description="At most 200 items a call, those furthest apart first. What people are being "
        "asked about already is left alone.",
    )
    def post(self, request: Request, project_id: int, judge_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        more = self.given(AskMoreIn)["more"]
        judge = _row(project, judge_id).judge
        asked = ask_more_people(project=project, judge=judge, actor=self.user, more=more)
        return self.rendered(AskedOut, {"items": asked})


def _row(project: Project, judge_id: int) -> JudgeRow:
    found = next((one for one in judges_of(project) if one.pk == judge_id), None)
    if found is None:
        raise Http404
    return judge_row(project, found)


class Gate(Endpoint):
    scope = {"GET": ApiToken.Scope.READ, "PUT": ApiToken.Scope.WRITE}

    @operation("What a judge must reach before its answers count", response=GateOut)
    def get(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        return self.rendered(GateOut, current_gate(project))

    @operation(
        "Set the gate",
        request=GateIn,
        response=GateOut,
        description="A change is a new version, and every judge stands or falls by it at once.",
    )
    def put(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.MANAGE)
        given = self.given(GateIn)
        from_version = given.pop("from_version")
        given["must_measure"] = tuple(sorted(set(given["must_measure"])))
        gate = revise_gate(
            project=project, actor=self.user, values=GateValues(**given), from_version=from_version
        )
        return self.rendered(GateOut, gate)
