"""Renders every API error as {"code": …, "detail": …} and, where it helps, {"fields": …}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from core.errors import PrefloopError

CODES = {403: "not_allowed", 404: "not_found"}


def api_exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    if isinstance(error, PrefloopError):
        fields = dict(_named(error))
        return Response(_body(error.code, error.message, fields), status=error.status)
    response = exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, ValidationError):
        fields = {path: [*problems] for path, problems in _flat(error.detail)}
        response.data = _body("invalid", _in_words(fields), fields)
    else:
        default = error.default_code if isinstance(error, APIException) else "error"
        code = CODES.get(response.status_code, default)
        response.data = _body(code, str(response.data["detail"]), {})
    return response


def _body(code: str, detail: str, fields: Mapping[str, list[str]]) -> dict[str, Any]:
    return {"code": code, "detail": detail} | ({"fields": dict(fields)} if fields else {})


def _named(error: PrefloopError) -> Iterator[tuple[str, list[str]]]:
    """A service names the field, or says what is wrong with each."""
    for name, value in error.fields.items():
        yield (str(value), [error.message]) if name == "field" else (name, [str(value)])


def _flat(detail: Any, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """{"prompts": {3: {"content": [...]}}} becomes prompts[3].content: [...]."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _flat(inner, _below(path, name))
    elif any(isinstance(one, Mapping | list) for one in detail):
        for place, inner in enumerate(detail):
            yield from _flat(inner, _below(path, place))
    elif detail:
        yield path or "body", [str(problem) for problem in detail]


def _below(path: str, name: Any) -> str:
    if isinstance(name, int):
        return f"{path}[{name}]"
    if name == "non_field_errors":
        return path
    return f"{path}.{name}" if path else str(name)


def _in_words(fields: Mapping[str, list[str]]) -> str:
    said = [f"{path}: {problems[0]}" for path, problems in fields.items()]
    more = f" And {len(said) - 3} more." if len(said) > 3 else ""
    return " ".join(said[:3]) + more
