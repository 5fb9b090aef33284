"""What one has answered oneself: blind, as on one's own page."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.models import Assignment
from annotation.selectors.own_work import own_answers
from annotation.serializers.people import OwnJudgmentFilters, OwnJudgmentOut
from core.api.endpoint import ListEndpoint
from core.api.schema import operation
from core.models import ApiToken

FILTERS = {"project": "item__project", "kind": "item__kind"}


class OwnJudgments(ListEndpoint[Assignment]):
    scope = ApiToken.Scope.JUDGE
    serializer_class = OwnJudgmentOut
    filters = OwnJudgmentFilters

    @operation(
        "What you have answered",
        response=OwnJudgmentOut(many=True),
        parameters=[OwnJudgmentFilters],
        description="The newest answer of each assignment, `id`; change one by `submit` with a "
        "new `client_key`.",
    )
    def get(self, request: Request) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Assignment]:
        chosen = {FILTERS[name]: value for name, value in self.chosen().items()}
        rows = own_answers(self.user).filter(**chosen)
        return rows.select_related("item", "current").prefetch_related("current__answers")
