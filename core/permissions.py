"""Fails closed: an API view that declares no scope answers nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from core.models import ApiToken

if TYPE_CHECKING:
    from rest_framework.views import APIView


class Closed(BasePermission):
    """Signed in, and the token (if one is used) has the scope that the view names in `scope`.

    `scope` is one of ApiToken.Scope, or a dict by HTTP method. A view without it answers nobody.
    What the user may do is for the view to ask, for strangers get 404 and members 403; a test
    holds every view of the admin scope to it.
    """

    message = "This token lacks the scope that this call needs."

    def has_permission(self, request: Request, view: APIView) -> bool:
        scope = getattr(view, "scope", None)
        if isinstance(scope, dict):
            scope = scope.get("GET" if request.method == "HEAD" else request.method)
        if scope is None or not request.user or not request.user.is_authenticated:
            return False
        if not request.user.is_active:
            return False
        token = request.auth
        return not isinstance(token, ApiToken) or scope in token.scopes
