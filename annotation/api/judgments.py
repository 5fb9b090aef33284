"""What was answered, for those who may see it by name, and feedback of end users."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import project_of
from annotation.models import Judgment
from annotation.serializers.judging import (
    FeedbackIn,
    FeedbackOut,
    JudgmentFilters,
    JudgmentOut,
    answer_values,
)
from annotation.services.application_feedback import record_feedback
from core.api.endpoint import Endpoint, ListEndpoint
from core.api.schema import operation
from core.models import ApiToken

FILTERS = {
    "item": "assignment__item",
    "annotator": "assignment__annotator__uuid",
    "occasion": "assignment__occasion",
    "origin": "origin",
}


class Judgments(ListEndpoint[Judgment]):
    scope = ApiToken.Scope.READ
    serializer_class = JudgmentOut
    filters = JudgmentFilters

    @operation(
        "Judgments",
        response=JudgmentOut(many=True),
        parameters=[JudgmentFilters],
        description="With every revision; answers are in canonical order, and `shown_order` tells "
        "how the responses were shown. Needs the role researcher: a reviewer sees others' answers "
        "to an item after answering it.",
    )
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Judgment]:
        project = project_of(self, Capability.RESEARCH)
        chosen = {FILTERS[name]: value for name, value in self.chosen().items()}
        rows = Judgment.objects.filter(assignment__item__project=project, **chosen)
        return rows.select_related(
            "assignment__item", "assignment__annotator__judge", "protocol", "comment"
        ).prefetch_related("answers")


class Feedback(Endpoint):
    scope = ApiToken.Scope.JUDGE

    @operation(
        "Tell what end users think of an application's answers",
        request=FeedbackIn,
        response=FeedbackOut,
        description="Prompt and responses are stored once. The users of an application are one "
        "annotator, who takes no labeler's slot. The same `external_id` again adds nothing. Needs "
        "the role researcher.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        given = self.given(FeedbackIn)
        given["answers"] = answer_values(given["answers"])
        given["responses"] = [(one["generator"], one["messages"]) for one in given["responses"]]
        recorded = record_feedback(project=project, **given)
        body = {
            "item": recorded.judgment.assignment.item_id,
            "judgment": recorded.judgment.pk,
            "created": recorded.created,
        }
        return self.rendered(FeedbackOut, body)
