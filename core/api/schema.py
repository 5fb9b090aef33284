"""The OpenAPI description: what drf-spectacular cannot see by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema

from core.models import ApiToken

ERROR = "Error"
ERRORS = {
    400: "The input is wrong; `fields` names what.",
    401: "No token, or one that is unknown, expired or revoked.",
    403: "You may see this, but your role or the token's scope does not allow it.",
    404: "There is no such thing, or you may not see it.",
    409: "The thing has moved on since it was read, or the `client_key` was sent before with other "
    "settings.",
    413: "The body is too large.",
    415: "The body is not of a media type that this call takes.",
}
WITH_BODY = {413, 415}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "core.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "prefloop_…",
            "description": "Made on the account page or by `manage.py create_token`. Its scopes: "
            + "; ".join(f"`{value}`: {label}" for value, label in ApiToken.Scope.choices)
            + ".",
        }


class Schema(AutoSchema):
    """Operations are grouped by app, and say which scope they need."""

    def get_tags(self) -> list[str]:
        return [type(self.view).__module__.split(".")[0]]

    def get_description(self) -> str:  # type: ignore[override]
        """What the operation itself says; a class's docstring is for its readers."""
        return ""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        found: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if found is not None:
            scope: Any = getattr(self.view, "scope", None)
            needed = scope[self.method] if isinstance(scope, dict) else scope
            said = found.get("description", "")
            found["description"] = f"{said}\n\nThe token needs the scope `{needed}`.".strip()
        return found


def operation(
    summary: str,
    *,
    request: Any = None,
    response: Any,
    code: int = 200,
    description: str = "",
    parameters: Sequence[Any] | None = None,
    operation_id: str | None = None,
) -> Callable[[Any], Any]:
    """What an endpoint's method takes and gives; errors are added for all of them below."""
    return extend_schema(
        summary=summary,
        description=description,
        request=request,
        responses=response if isinstance(response, dict) else {code: response},
        parameters=list(parameters) if parameters else None,
        operation_id=operation_id,
    )


def document_errors(result: Any, **_: Any) -> Any:
    """Every operation may answer with the one shape of error."""
    result["components"]["schemas"][ERROR] = {
        "type": "object",
        "properties": {
            "code": {"type": "string", "description": "For programs: stable."},
            "detail": {"type": "string", "description": "For people: what, why, how to mend it."},
            "fields": {
                "type": "object",
                "description": "What is wrong with which field, as in `answers.overall.strength`.",
                "additionalProperties": {"type": "array", "items": {"type": "string"}},
            },
        },
        "required": ["code", "detail"],
    }
    for methods in result["paths"].values():
        for operation in methods.values():
            for code in _errors_of(operation):
                operation["responses"].setdefault(str(code), _error(code))
    return result


def _errors_of(operation: dict[str, Any]) -> list[int]:
    left_out = set() if "requestBody" in operation else WITH_BODY
    return [code for code in ERRORS if code not in left_out]


def _error(code: int) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{ERROR}"}
    return {"description": ERRORS[code], "content": {"application/json": {"schema": schema}}}
