"""Reading one field of a request's body: its type and bounds, or an error that names it."""

from collections.abc import Mapping
from typing import Any

from training.alignment.serve.errors import ApiError

MOST_STOPS = 4

# Accepted only as long as they ask for nothing: to ignore them would change answers silently.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "best_of": (None, 1),
    "echo": (None, False),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
    "min_p": (None, 0),
    "parallel_tool_calls": (None, True, False),
    "presence_penalty": (None, 0),
    "repetition_penalty": (None, 1),
    "response_format": (None, {"type": "text"}),
    "stream": (None, False),
    "stream_options": (None,),
    "suffix": (None, ""),
    "tool_choice": (None, "none"),
    "tools": (None, []),
    "top_k": (None, -1, 0),
}
# Say nothing on the answer.
_IGNORED = {
    *("metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store", "user"),
}


def check_known(body: Mapping[str, Any], known: set[str]) -> None:
    """Refuse what this server does not know, and what it knows but cannot do."""
    for name, value in body.items():
        if name in known or name in _IGNORED:
            continue
        if name not in _NEUTRAL:
            raise ApiError(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
        if value not in _NEUTRAL[name]:
            raise ApiError(
                f"This server does not support '{name}'; leave it out.",
                param=name,
                code="unsupported_parameter",
            )


def integer(
    body: Mapping[str, Any], name: str, default: int | None, low: int, high: int
) -> int | None:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(name, "a whole number")
    return int(_bounded(name, value, low, high))


def number(body: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "a number")
    return float(_bounded(name, value, low, high))


def flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise _wrong(name, "true or false")
    return bool(value)


def text(body: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str:
    """One of the known texts; the first when left out."""
    value = body.get(name) or known[0]
    if value not in known:
        raise _wrong(name, f"one of {', '.join(known)}")
    return str(value)


def stops(body: Mapping[str, Any]) -> tuple[str, ...]:
    value = body.get("stop")
    listed = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(item, str) and item for item in listed):
        raise _wrong("stop", "a text or a list of texts, none of them empty")
    if len(listed) > MOST_STOPS:
        raise _wrong("stop", f"at most {MOST_STOPS} texts")
    return tuple(listed)


def choices(body: Mapping[str, Any]) -> list[str]:
    """The texts of which the answer must be one; none when there is no such constraint."""
    name, value = "guided_choice", body.get("guided_choice")
    if value is None and body.get("structured_outputs") is not None:
        name, structured = "structured_outputs", body["structured_outputs"]
        if not isinstance(structured, dict) or set(structured) != {"choice"}:
            raise _wrong(name, 'an object with "choice" alone; other constraints are not supported')
        value = structured["choice"]
    if value is None:
        return []
    if not isinstance(value, list) or not value:
        raise _wrong(name, "a list of at least one text")
    if not all(isinstance(item, str) and item for item in value):
        raise _wrong(name, "a list of texts, none of them empty")
    return list(value)


def _bounded(name: str, value: float, low: float, high: float) -> float:
    # Also refuses NaN, which compares false with everything.
    if not low <= value <= high:
        raise _wrong(name, f"between {low} and {high}")
    return value


def _wrong(name: str, wanted: str) -> ApiError:
    return ApiError(f"'{name}' must be {wanted}.", param=name, code="invalid_value")
