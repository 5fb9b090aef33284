"""Renders every API error as {"code": …, "detail": …}."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.views import exception_handler

from core.errors import PrefloopError


def api_exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    if isinstance(error, PrefloopError):
        body = {"code": error.code, "detail": error.message, **error.fields}
        return Response(body, status=error.status)
    response = exception_handler(error, context)
    if response is not None and isinstance(error, APIException) and "detail" in response.data:
        response.data["code"] = error.get_codes()
    return response
