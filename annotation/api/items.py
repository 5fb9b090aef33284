"""Items: what is put before labelers."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, Q, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import models
from annotation.access import Capability
from annotation.api.base import found, project_of
from annotation.models import Item, ItemResponse, Project
from annotation.selectors.content import STATES
from annotation.serializers.content import (
    ExtendIn,
    ItemFilters,
    ItemOut,
    ItemsIn,
    ItemsMade,
    PriorityIn,
)
from annotation.serializers.project import ReasonIn
from annotation.services.item import (
    close_item,
    create_items,
    extend_overlap,
    reopen_item,
    set_priorities,
)
from core.api.endpoint import Endpoint, ListEndpoint
from core.api.schema import operation
from core.errors import PrefloopError
from core.models import ApiToken


def with_responses(items: QuerySet[Item]) -> QuerySet[Item]:
    """With what an item's rendering reads, and without the texts, which it does not."""
    rows = ItemResponse.objects.select_related("response__generator").only(
        "item_id", "position", "response__uuid", "response__generator__name"
    )
    return items.prefetch_related(Prefetch("item_responses", rows.order_by("position")))


class Items(ListEndpoint[Item]):
    scope = {"GET": ApiToken.Scope.READ, "POST": ApiToken.Scope.WRITE}
    serializer_class = ItemOut
    filters = ItemFilters

    @operation("Items", response=ItemOut(many=True), parameters=[ItemFilters])
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Item]:
        project = project_of(self, Capability.RESEARCH)
        chosen = self.chosen()
        state = STATES[chosen.pop("state")][1] if "state" in chosen else Q()
        return with_responses(Item.objects.filter(state, project=project, **chosen))

    @operation(
        "Make items of responses",
        request=ItemsIn,
        response=ItemsMade,
        code=201,
        description="An item for each group of responses to one prompt; a group that has its item "
        "gets that one. Equal texts are never shown: such a pair is stored as a tie.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        given = self.given(ItemsIn)
        groups = _own_responses(project, given.pop("groups"))
        made = create_items(project=project, groups=groups, **given)
        ids = [item.pk if item else None for item in made.items]
        return self.rendered(ItemsMade, {**vars(made), "items": ids}, code=201)


def _own_responses(project: Project, groups: list[list[int]]) -> list[list[models.Response]]:
    wanted = {key for group in groups for key in group}
    own = models.Response.objects.filter(prompt__project=project).select_related("prompt")
    responses = own.in_bulk(wanted)
    unknown = sorted(wanted - set(responses))
    if unknown:
        raise PrefloopError(f"This project has no response {unknown[0]}.", field="groups")
    return [[responses[key] for key in group] for group in groups]


class _OneItem(Endpoint):
    def item(self) -> Item:
        items = with_responses(Item.objects.select_related("project"))
        return found(items, self, self.kwargs["item_id"], Capability.RESEARCH)[0]

    def answer(self, item: Item) -> Response:
        return self.rendered(ItemOut, item)


class OneItem(_OneItem):
    scope = ApiToken.Scope.READ

    @operation("An item", response=ItemOut)
    def get(self, request: Request, item_id: int) -> Response:
        return self.answer(self.item())


class CloseItem(_OneItem):
    scope = ApiToken.Scope.WRITE

    @operation("Take an item from the queue", request=ReasonIn, response=ItemOut)
    def post(self, request: Request, item_id: int) -> Response:
        item = self.item()
        return self.answer(close_item(item=item, actor=self.user, **self.given(ReasonIn)))


class ReopenItem(_OneItem):
    scope = ApiToken.Scope.WRITE

    @operation("Put a closed or held item back", request=ReasonIn, response=ItemOut)
    def post(self, request: Request, item_id: int) -> Response:
        item = self.item()
        return self.answer(reopen_item(item=item, actor=self.user, **self.given(ReasonIn)))


class ExtendOverlap(_OneItem):
    scope = ApiToken.Scope.WRITE

    @operation("Let more people judge an item", request=ExtendIn, response=ItemOut)
    def post(self, request: Request, item_id: int) -> Response:
        item = self.item()
        return self.answer(extend_overlap(item=item, actor=self.user, **self.given(ExtendIn)))


class SetPriority(_OneItem):
    scope = ApiToken.Scope.WRITE

    @operation("Say how soon an item comes", request=PriorityIn, response=ItemOut)
    def post(self, request: Request, item_id: int) -> Response:
        item = self.item()
        given: dict[str, Any] = self.given(PriorityIn)
        set_priorities(project=item.project, priorities={item.pk: given["priority"]})
        return self.answer(self.item())
