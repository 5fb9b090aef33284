"""The queue in numbers, and the rules that pause people."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import project_of
from annotation.selectors.throughput import throughput
from annotation.serializers.work import PauseRuleOut, PauseRulesIn, WorkOut
from annotation.services.pause_rules import RuleValues, set_pause_rules
from core.api.endpoint import Endpoint
from core.api.schema import operation
from core.models import ApiToken

READ, WRITE = ApiToken.Scope.READ, ApiToken.Scope.WRITE


class Work(Endpoint):
    scope = READ

    @operation(
        "What is left in the queue, and how fast it goes",
        response=WorkOut,
        description="Needs the role manager.",
    )
    def get(self, request: Request, project_id: int) -> Response:
        return self.rendered(WorkOut, throughput(project_of(self, Capability.MANAGE)))


class PauseRules(Endpoint):
    scope = {"GET": READ, "PUT": WRITE}

    @operation("The rules that pause people", response=PauseRuleOut(many=True))
    def get(self, request: Request, project_id: int) -> Response:
        rules = project_of(self, Capability.MANAGE).pause_rules.order_by("signal")
        return self.rendered(PauseRuleOut, rules, many=True)

    @operation(
        "Set the rules that pause people",
        request=PauseRulesIn,
        response=PauseRuleOut(many=True),
        description="These and no others; an empty list takes all away. Needs the role manager.",
    )
    def put(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.MANAGE)
        given = self.given(PauseRulesIn)["rules"]
        rules = {one["signal"]: RuleValues(one["threshold"], one["window"]) for one in given}
        made = set_pause_rules(project=project, actor=self.user, rules=rules)
        return self.rendered(PauseRuleOut, made, many=True)
