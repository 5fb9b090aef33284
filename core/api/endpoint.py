"""The base of every endpoint: parse, call one service, render."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, cast

from django.db.models import Model
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer
from rest_framework.views import APIView

from core.models import User

M = TypeVar("M", bound=Model)

PAGING = {"cursor", "page_size"}


class AlwaysJson(DefaultContentNegotiation):
    """What a call answers is said by the schema, whatever the caller would like better."""

    def select_renderer(
        self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None
    ) -> tuple[Any, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class Endpoint(APIView):
    """A subclass names the scope that a token needs, for all methods or by method."""

    scope: str | dict[str, str]
    # What one call may send; endpoints that take much say so.
    max_body_bytes = 1_000_000

    content_negotiation_class = AlwaysJson
    # OPTIONS would only repeat the schema.
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """A method that is not there is told before anything is asked about the caller."""
        if request.method not in self.allowed_methods:
            self.http_method_not_allowed(request)
        super().initial(request, *args, **kwargs)

    @property
    def user(self) -> User:
        """The permission class lets nobody else pass."""
        return cast("User", self.request.user)

    def given(self, serializer: type[Serializer[Any]]) -> dict[str, Any]:
        """The body as the serializer understands it; a 400 with the fields' names otherwise."""
        body = serializer(data=self.request.data)
        body.is_valid(raise_exception=True)
        return cast("dict[str, Any]", body.validated_data)

    def rendered(
        self,
        serializer: type[BaseSerializer[Any]],
        instance: Any,
        *,
        code: int = status.HTTP_200_OK,
        many: bool = False,
        context: dict[str, Any] | None = None,
    ) -> Response:
        return Response(serializer(instance, many=many, context=context or {}).data, status=code)


class ListEndpoint(Endpoint, ListAPIView[M]):
    """A list in pages. `filters` names what the query may hold; anything else is refused."""

    filters: type[Serializer[Any]] | None = None

    def chosen(self) -> dict[str, Any]:
        """The filters of the query. A misspelt one would silently show too much, so it is a 400."""
        filters = (self.filters or Serializer)(data=self.request.query_params.dict())
        unknown = set(self.request.query_params) - set(filters.fields) - PAGING
        if unknown:
            raise ValidationError({key: ["There is no such filter."] for key in sorted(unknown)})
        filters.is_valid(raise_exception=True)
        return {name: value for name, value in filters.validated_data.items() if value is not None}
