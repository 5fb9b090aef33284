"""Bodies as JSON, checked before anything else sees them: size, depth, characters, numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

MAX_DEPTH = 32


class TooLarge(APIException):
    status_code = 413
    default_code = "too_large"


def read_body(stream: IO[bytes], context: Mapping[str, Any] | None) -> bytes:
    """The whole body, unless it is larger than its endpoint takes."""
    limit: int = (context or {})["view"].max_body_bytes
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise TooLarge(f"The body is larger than {limit:,} bytes. Send it in several calls.")
    return body


class JsonParser(BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body = read_body(stream, parser_context)
        try:
            value = json.loads(body.decode(), parse_constant=_refuse_constant)
        except RecursionError:
            raise ParseError(_too_deep()) from None
        except ValueError as error:
            raise ParseError(f"The body is not JSON in UTF-8: {error}.") from None
        check_json(value)
        return value


class LinesParser(BaseParser):
    """JSON lines are handed on as bytes: who imports them checks each row by itself."""

    media_type = "application/x-ndjson"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        return {"lines": read_body(stream, parser_context)}


def check_json(value: Any) -> None:
    """Refuses what no database keeps and what nobody means: depth, NUL, surrogates, infinity."""
    level = [value]
    for _ in range(MAX_DEPTH):
        texts = [one for one in level if isinstance(one, str)]
        keys = [key for one in level if isinstance(one, dict) for key in one]
        for text in (*texts, *keys):
            _check_text(text)
        if any(isinstance(one, float) and not math.isfinite(one) for one in level):
            raise ParseError("A number in the body is too large.")
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise ParseError(_too_deep())


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ParseError("A text in the body has a NUL character, which no database can keep.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ParseError(
            "A text in the body has half of a surrogate pair, which is no character."
        ) from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _too_deep() -> str:
    return f"The body is nested deeper than {MAX_DEPTH} levels."
