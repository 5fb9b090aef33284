"""Labeling by program: blind, as in the browser."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability, load_project
from annotation.answer_form import show_item
from annotation.api.base import project_of, visible
from annotation.models import Assignment, Flag, Judgment, Project
from annotation.selectors.queue import is_held_by_others
from annotation.serializers.judging import (
    AssignmentOut,
    ClaimOut,
    OwnAssignmentOut,
    SkipIn,
    SubmitIn,
    answer_values,
)
from annotation.services.annotator import annotator_for_user
from annotation.services.claim_item import claim_item, extend_lease
from annotation.services.flag_item import flag_item
from annotation.services.skip_item import skip_item
from annotation.services.submit_judgment import submit_judgment
from core.api.endpoint import Endpoint, ListEndpoint
from core.api.schema import operation
from core.models import ApiToken

JUDGE = ApiToken.Scope.JUDGE


def own_assignments(endpoint: Endpoint) -> QuerySet[Assignment]:
    """Without reviews: a decision is made and changed where it is recorded as one."""
    own = Assignment.objects.visible_to(endpoint.user).exclude(occasion=Assignment.REVIEW)
    rows = visible(own, endpoint, "item__project")
    return rows.select_related("item__prompt", "current")


def shown(assignment: Assignment, project: Project) -> dict[str, Any]:
    protocol = project.protocol
    context = {"assignment": assignment, "protocol": protocol}
    return dict(AssignmentOut(show_item(assignment, protocol), context=context).data)


class ClaimItem(Endpoint):
    scope = JUDGE

    @operation(
        "Take the next item",
        response=ClaimOut,
        description="What you have open already, else a new item under a lease; `assignment` is "
        "null when there is nothing for you.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.JUDGE)
        assignment = claim_item(project=project, user=self.user)
        if assignment is not None:
            return Response({"assignment": shown(assignment, project), "held_by_others": False})
        annotator = annotator_for_user(user=self.user)
        held = is_held_by_others(project=project, annotator=annotator)
        return Response({"assignment": None, "held_by_others": held})


class OwnAssignments(ListEndpoint[Assignment]):
    scope = JUDGE
    serializer_class = OwnAssignmentOut

    @operation("What you were asked", response=OwnAssignmentOut(many=True))
    def get(self, request: Request) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Assignment]:
        self.chosen()
        return own_assignments(self)


class _OwnAssignment(Endpoint):
    scope = JUDGE

    def assignment(self, needed: Capability | None) -> tuple[Assignment, Project]:
        row = get_object_or_404(own_assignments(self), pk=self.kwargs["assignment_id"])
        return row, load_project(self.user, row.item.project_id, needed)


class OneAssignment(_OwnAssignment):
    @operation("An item that you were asked about, and your answer", response=AssignmentOut)
    def get(self, request: Request, assignment_id: int) -> Response:
        return Response(shown(*self.assignment(None)))


class SubmitJudgment(_OwnAssignment):
    @operation(
        "Answer",
        request=SubmitIn,
        response=AssignmentOut,
        description="Answers are in the order in which the responses were shown. The same "
        "`client_key` again adds nothing. With a new key an answer given before is changed: the "
        "newest counts, the older stay on record. A late answer is kept too.",
    )
    def post(self, request: Request, assignment_id: int) -> Response:
        assignment, project = self.assignment(Capability.JUDGE)
        given = self.given(SubmitIn)
        given["client_key"] = f"api:{self.user.pk}:{given['client_key']}"
        given["answers"] = answer_values(given["answers"])
        submit_judgment(assignment=assignment, origin=Judgment.Origin.API, **given)
        return Response(shown(assignment, project))


class SkipItem(_OwnAssignment):
    @operation(
        "Skip an item",
        request=SkipIn,
        response=AssignmentOut,
        description="Others get it; you are not asked again. `flagged` tells the manager, too; an "
        "item that you have answered stays answered then.",
    )
    def post(self, request: Request, assignment_id: int) -> Response:
        assignment, project = self.assignment(Capability.JUDGE)
        given = self.given(SkipIn)
        if given["flagged"]:
            flag_item(assignment=assignment, kind=Flag.Kind.PROBLEM, note=given["reason"])
        else:
            skip_item(assignment=assignment, reason=given["reason"])
        return Response(shown(assignment, project))


class ExtendLease(_OwnAssignment):
    @operation("Keep an item for longer", response=AssignmentOut)
    def post(self, request: Request, assignment_id: int) -> Response:
        assignment, project = self.assignment(Capability.JUDGE)
        extend_lease(assignment=assignment)
        assignment.refresh_from_db()
        return Response(shown(assignment, project))
