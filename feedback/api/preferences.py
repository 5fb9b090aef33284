"""What is decided, what is contested, and a reviewer's word on it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import found, project_of
from annotation.models import Item
from annotation.serializers.judging import answer_values
from core import jobs
from core.api.endpoint import Endpoint, ListEndpoint
from core.api.schema import operation
from core.errors import PrefloopError
from core.models import ApiToken
from core.serializers import JobOut
from feedback.models import Preference
from feedback.selectors.agreement import unfinished_job
from feedback.selectors.preferences import preferences_of
from feedback.selectors.review_queue import Filter, in_order, waiting
from feedback.serializers import (
    AdjudicateIn,
    ContestedItemOut,
    PreferenceFilters,
    PreferenceOut,
    QueueOut,
    WaitingFilters,
)
from feedback.services.adjudicate import Grounds, adjudicate, send_back, withdraw

READ, WRITE = ApiToken.Scope.READ, ApiToken.Scope.WRITE
WAITING_SHOWN = 100
FILTERS = {"state": "state", "criterion": "criterion", "kind": "item__kind", "item": "item"}


class Preferences(ListEndpoint[Preference]):
    scope = READ
    serializer_class = PreferenceOut
    filters = PreferenceFilters

    @operation(
        "Preferences",
        response=PreferenceOut(many=True),
        parameters=[PreferenceFilters],
        description="The newest of each item and criterion. Needs the role researcher: what waits "
        "for reviewers is told to them blind.",
    )
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Preference]:
        project = project_of(self, Capability.RESEARCH)
        chosen = {FILTERS[name]: value for name, value in self.chosen().items()}
        return preferences_of(project).filter(**chosen).select_related("item", "policy")


class Adjudication(Endpoint):
    scope = READ

    @operation(
        "What waits for a reviewer",
        response=QueueOut,
        parameters=[WaitingFilters],
        description="Contested items before those where only judges contradict people; not what "
        "was sent back and is being judged by more people.",
    )
    def get(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.ADJUDICATE)
        filters = WaitingFilters(data=request.query_params.dict())
        filters.is_valid(raise_exception=True)
        rows = waiting(project, Filter(**filters.validated_data))
        body = {
            "items": rows.values("item").distinct().count(),
            "waiting": in_order(rows).select_related("item")[:WAITING_SHOWN],
        }
        return self.rendered(QueueOut, body)


class Resolve(Endpoint):
    scope = WRITE

    @operation(
        "Decide all items anew",
        response=JobOut,
        code=202,
        description="Nobody needs to call this: new judgments are resolved by themselves.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        job = unfinished_job(project, "resolve_items") or jobs.enqueue(
            "resolve_items",
            args={"everything": True},
            created_by=self.user,
            project_id=project.pk,
        )
        return self.rendered(JobOut, job, code=202)


class Adjudicate(Endpoint):
    """Shows no votes and asks for no blind answer, so that neither is recorded."""

    scope = {"GET": READ, "POST": WRITE, "DELETE": WRITE}

    def item(self) -> Item:
        items = Item.objects.select_related("project", "prompt")
        return found(items, self, self.kwargs["item_id"], Capability.ADJUDICATE)[0]

    @operation("A contested item, blind", response=ContestedItemOut)
    def get(self, request: Request, item_id: int) -> Response:
        item = self.item()
        rows = item.item_responses.select_related("response").order_by("position")
        standing = Preference.objects.newest().filter(item=item).order_by("criterion")
        body = {
            "item": item.pk,
            "kind": item.kind,
            "prompt": item.prompt.messages,
            "responses": [row.response for row in rows],
            "standing": [
                {"criterion": one.criterion, "state": one.state, "preference": one.pk}
                for one in standing
            ],
        }
        return self.rendered(ContestedItemOut, body)

    @operation(
        "Decide an item",
        request=AdjudicateIn,
        response=PreferenceOut,
        description="The judgments stay beside the decision, which is recorded as made without a "
        "blind answer and without the votes in view. Needs the role reviewer.",
    )
    def post(self, request: Request, item_id: int) -> Response:
        item = self.item()
        given: dict[str, Any] = self.given(AdjudicateIn)
        if given["value"] is not None:
            given["value"] = answer_values({"value": given["value"]})["value"]
        if more := given.pop("more"):
            return self.rendered(PreferenceOut, self.sent_back(item, more, given))
        grounds = Grounds(note=given.pop("note"), seen_judgments=())
        row = adjudicate(item=item, adjudicator=self.user, grounds=grounds, **given)
        return self.rendered(PreferenceOut, row)

    @operation(
        "Take your last decision back",
        response=PreferenceOut(many=True),
        description="All criteria that were decided together: the votes speak again. Refused when "
        "the last word on the item is not yours. The decision stays on record.",
    )
    def delete(self, request: Request, item_id: int) -> Response:
        item = self.item()
        withdrawn = withdraw(item=item, adjudicator=self.user)
        rows = Preference.objects.newest().filter(
            item=item, criterion__in=[one.criterion for one in withdrawn]
        )
        ordered = rows.select_related("item", "policy").order_by("criterion")
        return Response(PreferenceOut(ordered, many=True).data)

    def sent_back(self, item: Item, more: int, given: dict[str, Any]) -> Preference:
        if given["value"] is not None or given["exclude"]:
            raise PrefloopError("Decide the item, or send it back: not both.")
        return send_back(
            item=item,
            adjudicator=self.user,
            seen={given["criterion"]: given["seen"]},
            more=more,
            grounds=Grounds(note=given["note"], seen_judgments=()),
        )[0]
