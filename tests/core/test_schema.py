"""The API keeps what its schema promises, to everybody, whatever is sent.

PREFLOOP_FUZZ_FACTOR makes it longer and takes new random cases each time; `make prove` does so.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import call_command
from schemathesis.core.failures import Failure, FailureGroup

from tests.api import Api, World, make_world
from tests.cast import Cast

FACTOR = int(os.environ.get("PREFLOOP_FUZZ_FACTOR", "0"))


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


def test_the_schema_is_valid_and_complete() -> None:
    said = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=said)
    assert "/api/projects/{project_id}/judgments" in said.getvalue()


@pytest.mark.timeout(300 * max(FACTOR, 1))
@pytest.mark.parametrize(
    ("person", "examples"),
    [("", 1), ("mallory", 1), ("bob", 1), ("rita", 1), ("rosa", 1), ("mary", 1), ("ada", 2)],
)
def test_it_keeps_its_promises(
    world: World, person: str, examples: int, record_property: Callable[[str, object], None]
) -> None:
    from tests.fuzz import attack, load_schema, one_connection, operations

    api = Api(getattr(world.cast, person) if person else None)
    start = int(time.time()) if FACTOR else 0
    calls = 0
    broken: list[Failure] = []
    with one_connection():
        for operation in operations(load_schema(Api(world.cast.ada))):
            try:
                calls += attack(
                    operation, api, world, examples=examples * max(FACTOR, 1), start=start
                )
            except FailureGroup as failure:
                for one in failure.exceptions:
                    one.add_note(f"{operation.label} as {person or 'nobody'}")
                    broken.append(one)
    record_property("calls", calls)
    if broken:
        raise FailureGroup(broken)
