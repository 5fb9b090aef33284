"""Calls every operation of the API with what schemathesis makes of the schema, good and bad."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Read when schemathesis is imported: without it its hooks print to the terminal.
os.environ.setdefault("SCHEMATHESIS_HOOKS", "")

import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from core.api.parsers import LinesParser
from tests.api import Api, World

# Rules beyond the schema (a criterion's name, somebody's role) are told by 400 and 409, and these
# checks know no such thing; the last two follow links between calls, of which there are none.
REFUSALS = [400, 401, 403, 404, 405, 409, 413, 415]
LEFT_OUT = {"positive_data_acceptance", "use_after_free", "ensure_resource_availability"}


@schemathesis.serializer(LinesParser.media_type)
def as_lines(context: Any, value: Any) -> bytes:
    return str(value).encode(errors="replace")


@contextmanager
def one_connection() -> Iterator[None]:
    """Requests share the test's transaction instead of ending its connection."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in signals:
            signal.connect(close_old_connections)


def load_schema(api: Api) -> Any:
    config = schemathesis.Config.from_dict(
        {"checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}}}
    )
    return schemathesis.openapi.from_wsgi(
        "/api/schema/?format=json", get_wsgi_application(), config=config, headers=api.headers
    )


def operations(schema: Any) -> Iterator[Any]:
    for result in schema.get_all_operations():
        yield result.ok()


def attack(operation: Any, api: Api, world: World, *, examples: int, start: int) -> int:
    """Positive and negative cases on things that are there. Returns the number of calls."""
    calls = 0
    names = {f"{name}_id": key for name, key in world.names.items()}
    wanted = {parameter.name for parameter in operation.path_parameters}
    there = {name: key for name, key in names.items() if name in wanted}
    for mode in GenerationMode:
        strategy = operation.as_strategy(generation_mode=mode, path_parameters=there or None)

        @seed(start)
        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def fuzz(case: Any) -> None:
            nonlocal calls
            calls += 1
            validate(case, api)

        fuzz()
    return calls


def validate(case: Any, api: Api) -> None:
    """Nothing of a call is kept, so that each case meets the same world."""
    if case.media_type == LinesParser.media_type:
        # Any bytes are lines: what is wrong with one is told in the report.
        assume(isinstance(case.body, str))
    excluded = [CHECKS.get_one(name) for name in sorted(LEFT_OUT)]
    with transaction.atomic():
        case.call_and_validate(headers=api.headers, excluded_checks=excluded)
        transaction.set_rollback(True)
