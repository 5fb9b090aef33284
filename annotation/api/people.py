"""The people in a project, and the links that invite others."""

from __future__ import annotations

from django.db.models import QuerySet
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import found, project_of
from annotation.models import Invitation, Membership
from annotation.selectors.invitation import invitations_of
from annotation.serializers.people import InvitationIn, InvitationOut, NewInvitationOut
from annotation.serializers.project import MembershipIn, MembershipOut, ReasonIn
from annotation.services.invitation import create_invitation, revoke_invitation
from annotation.services.membership import (
    pause_member,
    remove_member,
    restore_member,
    set_membership,
)
from core.addresses import absolute_url
from core.api.endpoint import Endpoint, ListEndpoint
from core.api.schema import operation
from core.errors import PrefloopError
from core.models import ApiToken, User


class Memberships(ListEndpoint[Membership]):
    scope = {"GET": ApiToken.Scope.READ, "POST": ApiToken.Scope.WRITE}
    serializer_class = MembershipOut

    @operation("The people in a project", response=MembershipOut(many=True))
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Membership]:
        project = project_of(self, Capability.MANAGE)
        self.chosen()
        return Membership.objects.filter(project=project).select_related("user")

    @operation(
        "Add a person, or change a role",
        request=MembershipIn,
        response=MembershipOut,
        description="The account must exist. Somebody who had left is taken back.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.MANAGE)
        given = self.given(MembershipIn)
        user = User.objects.filter(username__iexact=given["username"]).first()
        if user is None:
            raise PrefloopError(f"Nobody here is called {given['username']}.", field="username")
        membership = set_membership(project=project, user=user, role=given["role"], actor=self.user)
        return self.rendered(MembershipOut, membership)


class _OneMembership(Endpoint):
    scope = ApiToken.Scope.WRITE

    def membership(self) -> Membership:
        rows = Membership.objects.select_related("user", "project")
        return found(rows, self, self.kwargs["membership_id"], Capability.MANAGE)[0]


class PauseMember(_OneMembership):
    @operation("Pause a person", request=ReasonIn, response=MembershipOut)
    def post(self, request: Request, membership_id: int) -> Response:
        membership = self.membership()
        paused = pause_member(membership=membership, actor=self.user, **self.given(ReasonIn))
        return self.rendered(MembershipOut, paused)


class RestoreMember(_OneMembership):
    @operation("Let a paused person work again", response=MembershipOut)
    def post(self, request: Request, membership_id: int) -> Response:
        restored = restore_member(membership=self.membership(), actor=self.user)
        return self.rendered(MembershipOut, restored)


class RemoveMember(_OneMembership):
    @operation(
        "Remove a person",
        request=ReasonIn,
        response=MembershipOut,
        description="They see the project no longer; their judgments stay.",
    )
    def post(self, request: Request, membership_id: int) -> Response:
        membership = self.membership()
        removed = remove_member(membership=membership, actor=self.user, **self.given(ReasonIn))
        return self.rendered(MembershipOut, removed)


class Invitations(ListEndpoint[Invitation]):
    scope = {"GET": ApiToken.Scope.READ, "POST": ApiToken.Scope.WRITE}
    serializer_class = InvitationOut

    @operation("The links that invite people", response=InvitationOut(many=True))
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Invitation]:
        project = project_of(self, Capability.MANAGE)
        self.chosen()
        return invitations_of(project)

    @operation(
        "Make a link by which people join",
        request=InvitationIn,
        response=NewInvitationOut,
        code=201,
        description="Who opens it joins with the account they have, or makes one.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.MANAGE)
        given = self.given(InvitationIn)
        invitation, secret = create_invitation(project=project, actor=self.user, **given)
        link = absolute_url(request, reverse("annotation:invitation", args=[secret]))
        return self.rendered(NewInvitationOut, invitation, code=201, context={"link": link})


class RevokeInvitation(Endpoint):
    scope = ApiToken.Scope.WRITE

    @operation("Withdraw a link", response=InvitationOut, description="Who has joined by it stays.")
    def post(self, request: Request, invitation_id: int) -> Response:
        rows = Invitation.objects.select_related("project", "created_by")
        invitation = found(rows, self, invitation_id, Capability.MANAGE)[0]
        revoked = revoke_invitation(invitation=invitation, actor=self.user)
        return self.rendered(InvitationOut, revoked)
