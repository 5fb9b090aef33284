"""Cursor pages by primary key: steady while rows are added."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

MOST = 500


def is_key(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


class Pages(CursorPagination):
    ordering = "-pk"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = MOST

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None
    ) -> list[Any] | None:
        asked = request.query_params.get(self.page_size_query_param)
        if asked is not None and not (is_key(asked) and 1 <= int(asked) <= MOST):
            problem = f"A page has 1 to {MOST} rows."
            raise ValidationError({"page_size": [problem]})
        return super().paginate_queryset(queryset, request, view)

    def decode_cursor(self, request: Request) -> Cursor | None:
        cursor = super().decode_cursor(request)
        # A position that is no key comes from no page of ours.
        if cursor and cursor.position is not None and not is_key(str(cursor.position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        page_size = {"type": "integer", "minimum": 1, "maximum": MOST, "default": 50}
        return [
            {
                "name": "cursor", "in": "query", "required": False, "schema": {"type": "string"},
                "description": "From `next` or `previous` of another page.",
            },
            {
                "name": "page_size", "in": "query", "required": False, "schema": page_size,
                "description": "Rows of a page.",
            },
        ]  # fmt: skip
