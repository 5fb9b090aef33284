"""One's own tokens. They are made in the browser or by a command, where they are shown once."""

from __future__ import annotations

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.endpoint import Endpoint, ListEndpoint
from core.api.schema import operation
from core.models import ApiToken
from core.serializers import TokenOut
from core.services.api_token import revoke_api_token


class Tokens(ListEndpoint[ApiToken]):
    scope = ApiToken.Scope.READ
    serializer_class = TokenOut

    @operation("Your tokens", response=TokenOut(many=True))
    def get(self, request: Request) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[ApiToken]:
        self.chosen()
        return ApiToken.objects.visible_to(self.user)


class RevokeToken(Endpoint):
    # Whoever finds a token in the wrong hands must be able to end it, whatever its scopes.
    scope = ApiToken.Scope.READ

    @operation("Revoke one of your tokens", response=TokenOut)
    def post(self, request: Request, token_id: int) -> Response:
        token = get_object_or_404(ApiToken.objects.visible_to(self.user), pk=token_id)
        return self.rendered(TokenOut, revoke_api_token(token=token))
