"""Projects and the versions of their protocol."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import project_of
from annotation.models import Project, Protocol
from annotation.serializers.project import (
    ManagedProjectOut,
    ProjectChange,
    ProjectIn,
    ProjectOut,
    ProtocolIn,
    ProtocolOut,
)
from annotation.services.project import create_project, revise_protocol, update_project
from core.api.endpoint import Endpoint, ListEndpoint
from core.api.schema import operation
from core.models import ApiToken

READ, WRITE = ApiToken.Scope.READ, ApiToken.Scope.WRITE


class Projects(ListEndpoint[Project]):
    scope = {"GET": READ, "POST": WRITE}
    serializer_class = ProjectOut

    @operation("Projects that you see", response=ProjectOut(many=True))
    def get(self, request: Request) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Project]:
        self.chosen()
        return Project.objects.visible_to(self.user)

    @operation(
        "Create a project",
        request=ProjectIn,
        response=ManagedProjectOut,
        code=201,
        description="You become its manager. An admin gives the right to create projects.",
    )
    def post(self, request: Request) -> Response:
        project = create_project(creator=self.user, **self.given(ProjectIn))
        return self.rendered(ManagedProjectOut, project, code=201)


class OneProject(Endpoint):
    scope = {"GET": READ, "PATCH": WRITE}

    @operation("A project", response=ProjectOut)
    def get(self, request: Request, project_id: int) -> Response:
        return self.rendered(ProjectOut, project_of(self, None))

    @operation(
        "Change a project's settings",
        request=ProjectChange,
        response=ManagedProjectOut,
        description="A new overlap holds for items made from now on. The reply has all settings; "
        "an empty change reads them. Needs the role manager.",
    )
    def patch(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.MANAGE)
        changed = update_project(project=project, actor=self.user, **self.given(ProjectChange))
        return self.rendered(ManagedProjectOut, changed)


class Protocols(ListEndpoint[Protocol]):
    scope = {"GET": READ, "POST": WRITE}
    serializer_class = ProtocolOut

    @operation("The versions of a project's protocol", response=ProtocolOut(many=True))
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Protocol]:
        project = project_of(self, None)
        self.chosen()
        return Protocol.objects.filter(project=project)

    @operation(
        "Revise the protocol",
        request=ProtocolIn,
        response=ProtocolOut,
        description="The newest version is changed while nobody has judged by it; after that a "
        "change makes the next version. Needs the role manager.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.MANAGE)
        given = self.given(ProtocolIn)
        return self.rendered(
            ProtocolOut, revise_protocol(project=project, actor=self.user, **given)
        )
