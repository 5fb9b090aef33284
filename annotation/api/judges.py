"""Judges of a project by REST: what they are made of, the judges, their texts and calls."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability, load_project
from annotation.api.base import found, project_of, visible
from annotation.judging.protocol import protocols
from annotation.judging.settings import JudgeSettings
from annotation.models import Judge, JudgeCall, JudgeTemplate, Project, ProviderModel
from annotation.selectors.judge_choice import Choice, completed_choice
from annotation.selectors.judge_pages import judges_in, models_on_offer
from annotation.serializers.judges import (
    CallFilters,
    JudgeCallDetailOut,
    JudgeCallOut,
    JudgeDraftIn,
    JudgeIn,
    JudgeOut,
    JudgeProtocolsOut,
    JudgeTemplateIn,
    JudgeTemplateOut,
    OfferedModelOut,
    TakesIn,
    TakesOut,
)
from annotation.services.judge import create_judge
from annotation.services.judge_template import draft_judge, save_template, set_project_judge
from core.api.endpoint import Endpoint, ListEndpoint
from core.api.schema import operation
from core.errors import PrefloopError
from core.models import ApiToken

READ, WRITE = ApiToken.Scope.READ, ApiToken.Scope.WRITE


class JudgeProtocols(Endpoint):
    scope = READ

    @operation(
        "Protocols that judges can follow",
        response=JudgeProtocolsOut,
        description="With their sources, what they need of a model, and the settings of a judge.",
    )
    def get(self, request: Request) -> Response:
        return self.rendered(JudgeProtocolsOut, {"protocols": protocols()})


class JudgeModels(ListEndpoint[ProviderModel]):
    scope = READ
    serializer_class = OfferedModelOut

    @operation("Models that a judge may be made of", response=OfferedModelOut(many=True))
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[ProviderModel]:
        project_of(self, Capability.RESEARCH)
        self.chosen()
        return models_on_offer().prefetch_related("prices")


class Judges(ListEndpoint[Judge]):
    scope = {"GET": READ, "POST": WRITE}
    serializer_class = JudgeOut

    @operation(
        "Judges",
        response=JudgeOut(many=True),
        description="Those made in this project, and imported ones that have answered here.",
    )
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Judge]:
        project = project_of(self, Capability.RESEARCH)
        self.chosen()
        return judges_in(project)

    @operation(
        "Make a judge",
        request=JudgeIn,
        response=JudgeOut,
        code=201,
        description="A judge that was asked is never changed: other settings under the same name "
        "are its next version, and the same ones are the same judge.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        given = self.given(JudgeIn)
        choice = _choice(project, given)
        try:
            settings = JudgeSettings.from_dict(choice.defaults | given["settings"])
        except ValueError as error:
            raise PrefloopError(f"{error}.", field="settings") from error
        judge = create_judge(
            project=project,
            name=given["name"],
            model=choice.model,
            protocol=choice.protocol.key,
            template=choice.text,
            settings=settings,
            created_by=self.user,
        )
        return self.rendered(JudgeOut, judge, code=201)


def _choice(project: Project, given: dict[str, Any]) -> Choice:
    """What was asked for and nothing like it: a form may guess, a program is told."""
    choice = completed_choice(project, given)
    if choice is None:
        raise PrefloopError("There is no model to ask yet. An admin can add one.", field="model")
    if choice.model.pk != given["model"]:
        raise PrefloopError("There is no such model on offer.", field="model")
    if choice.protocol.key != given["protocol"]:
        refused = {protocol.key: why for protocol, why in choice.refused}
        why = refused.get(given["protocol"], "There is no such protocol.")
        raise PrefloopError(why, field="protocol")
    if choice.kind != given["kind"]:
        raise PrefloopError(
            f"Of this project's items, {choice.protocol.title} judges {', '.join(choice.kinds)}.",
            field="kind",
        )
    if choice.is_own and (choice.template is None or choice.template.pk != given.get("template")):
        raise PrefloopError(
            "Name one of the project's newest templates for this kind.", field="template"
        )
    return choice


class OfOneJudge(Endpoint):
    def judge(self) -> Judge:
        rows = Judge.objects.select_related("project", "model__provider")
        return found(rows, self, self.kwargs["judge_id"], Capability.RESEARCH)[0]


class OneJudge(OfOneJudge):
    scope = READ

    @operation("A judge", response=JudgeOut)
    def get(self, request: Request, judge_id: int) -> Response:
        return self.rendered(JudgeOut, self.judge())


class JudgeTakes(OfOneJudge):
    scope = WRITE

    @operation("Say which items a judge takes", request=TakesIn, response=TakesOut)
    def put(self, request: Request, judge_id: int) -> Response:
        judge = self.judge()
        assert judge.project is not None  # noqa: S101  # `found` looks through it
        given = self.given(TakesIn)
        set_project_judge(project=judge.project, judge=judge, actor=self.user, **given)
        return self.rendered(TakesOut, {"judge": judge.pk, **given})


class JudgeCalls(OfOneJudge, ListEndpoint[JudgeCall]):
    scope = READ
    serializer_class = JudgeCallOut
    filters = CallFilters

    @operation("A judge's calls", response=JudgeCallOut(many=True), parameters=[CallFilters])
    def get(self, request: Request, judge_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[JudgeCall]:
        judge = self.judge()
        return JudgeCall.objects.filter(judge=judge, **self.chosen()).defer("reply")


class OneJudgeCall(Endpoint):
    scope = READ

    @operation("A call, with its reply as it came", response=JudgeCallDetailOut)
    def get(self, request: Request, judge_call_id: int) -> Response:
        calls = visible(JudgeCall.objects.select_related("run"), self, "run__project")
        call = get_object_or_404(calls, pk=judge_call_id)
        load_project(self.user, call.run.project_id, Capability.RESEARCH)
        return self.rendered(JudgeCallDetailOut, call)


class JudgeTemplates(ListEndpoint[JudgeTemplate]):
    scope = {"GET": READ, "POST": WRITE}
    serializer_class = JudgeTemplateOut

    @operation("A project's own texts for judges", response=JudgeTemplateOut(many=True))
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[JudgeTemplate]:
        project = project_of(self, Capability.RESEARCH)
        self.chosen()
        return JudgeTemplate.objects.filter(project=project)

    @operation(
        "Save a text",
        request=JudgeTemplateIn,
        response=JudgeTemplateOut,
        code=201,
        description="The next version of the template of this name; the newest when nothing "
        "differs. What is wrong with it is told in words.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        saved = save_template(project=project, actor=self.user, **self.given(JudgeTemplateIn))
        return self.rendered(JudgeTemplateOut, saved, code=201)


class OneJudgeTemplate(Endpoint):
    scope = READ

    @operation("A text", response=JudgeTemplateOut)
    def get(self, request: Request, judge_template_id: int) -> Response:
        rows = JudgeTemplate.objects.select_related("project")
        template, _ = found(rows, self, judge_template_id, Capability.RESEARCH)
        return self.rendered(JudgeTemplateOut, template)


class JudgeDrafts(Endpoint):
    scope = WRITE

    @operation(
        "Make a draft of a text",
        request=JudgeDraftIn,
        response=JudgeOut,
        code=201,
        description="A judge of a text that is not saved. It can be tried, by `POST "
        "judges/{judge_id}/runs` with the purpose `trial`, and nothing else; no list has it.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        given = self.given(JudgeDraftIn)
        model = models_on_offer().filter(pk=given.pop("model")).first()
        if model is None:
            raise PrefloopError("There is no such model on offer.", field="model")
        draft = draft_judge(project=project, model=model, actor=self.user, **given)
        return self.rendered(JudgeOut, draft, code=201)
