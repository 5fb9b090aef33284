"""Takes each guard of the queue away and expects the test that holds it to fail.

A mutation that survives is a failed test here. `python -m bench proofs queue_mutations` runs this
file and the larger ones, and reports what was killed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.backends.utils import CursorWrapper

from core.errors import PrefloopError
from tests.annotation import test_claim_item as claims
from tests.annotation import test_constraints as constraints
from tests.annotation import test_queue_guards as guards
from tests.annotation import test_skip_item as skips
from tests.cast import make_cast, make_item

pytestmark = pytest.mark.django_db(transaction=True)
FAILURES = (AssertionError, DatabaseError, PrefloopError, pytest.fail.Exception)
SKIPS = "FOR NO KEY UPDATE OF i SKIP LOCKED"
WAITS = "FOR NO KEY UPDATE OF i;"
FRESH = "fresh JOIN annotation_item i USING (id)\n  WHERE i.is_open"
ONLY_FRESH = (FRESH, f"{FRESH} AND NOT i.started")
CLEAN = "TRUNCATE annotation_assignment, annotation_judgment, annotation_item CASCADE"


def run(sql: str, *values: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone() if cursor.description else None


@contextmanager
def without_constraint(table: str, *names: str) -> Iterator[None]:
    definition = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s"
    kept = {name: run(definition, name)[0] for name in names}
    for name in names:
        run(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    try:
        yield
    finally:
        run(CLEAN)
        for name, words in kept.items():
            run(f"ALTER TABLE {table} ADD CONSTRAINT {name} {words}")


@contextmanager
def without_trigger(table: str, name: str) -> Iterator[None]:
    run(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
    try:
        yield
    finally:
        run(f"ALTER TABLE {table} ENABLE TRIGGER {name}")


@contextmanager
def other_function(name: str, change: Callable[[str], str]) -> Iterator[None]:
    """The function in the database with a changed text."""
    text = run("SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = %s", name)[0]
    changed = change(text)
    assert changed != text, f"{name} has no such guard any more"
    execute_script(changed)
    try:
        yield
    finally:
        execute_script(text)


def execute_script(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@contextmanager
def other_sql(pattern: str, instead: str) -> Iterator[None]:
    """What Django sends is changed on the way, in every thread."""
    execute, changes = CursorWrapper.execute, 0

    def changed(self: CursorWrapper, sql: Any, params: Any = None) -> Any:
        nonlocal changes
        sql, count = re.subn(pattern, instead, str(sql), flags=re.DOTALL)
        changes += count
        return execute(self, sql, params)

    CursorWrapper.execute = changed  # type: ignore[method-assign]
    try:
        yield
    finally:
        CursorWrapper.execute = execute  # type: ignore[method-assign]
    assert changes, "no statement has this guard any more"


def nth_removed(words: str, number: int) -> Callable[[str], str]:
    def change(text: str) -> str:
        parts = text.split(words)
        before, after = words.join(parts[: number + 1]), words.join(parts[number + 1 :])
        return before + words.replace(" SKIP LOCKED", "") + after

    return change


def replaced(words: str, instead: str) -> Callable[[str], str]:
    return lambda text: text.replace(words, instead)


@dataclass(frozen=True)
class Mutation:
    apply: Callable[[], Any]
    test: Callable[..., None]


def asking_no_more(column: str, *, of: str) -> Callable[[], Any]:
    """An update that does not ask any more whether the row is as it was read."""
    pattern = rf'({of} .*?)("annotation_assignment"\."{column}" (?:=|<|IN) (?:%s|\([^)]*\)))'
    return lambda: other_sql(pattern, r"\1(\2 OR TRUE)")


def skip_locked(number: int) -> Callable[[], Any]:
    return lambda: other_function("annotation_lock_open_item", nth_removed(SKIPS, number))


def waiting(number: int) -> Callable[[], Any]:
    """One of the two waits is none any more."""

    def change(text: str) -> str:
        parts = text.split(WAITS)
        before, after = WAITS.join(parts[: number + 1]), WAITS.join(parts[number + 1 :])
        return f"{before}{SKIPS};{after}"

    return lambda: other_function("annotation_lock_open_item", change)


def function(name: str, words: str, instead: str) -> Callable[[], Any]:
    return lambda: other_function(name, replaced(words, instead))


def constraint(table: str, *names: str) -> Callable[[], Any]:
    return lambda: without_constraint(f"annotation_{table}", *names)


def sql(pattern: str, instead: str) -> Callable[[], Any]:
    return lambda: other_sql(pattern, instead)


def both(*removals: Callable[[], Any]) -> Callable[[], Any]:
    """For a guard that has another behind it."""

    @contextmanager
    def apply() -> Iterator[None]:
        with ExitStack() as stack:
            for removal in removals:
                stack.enter_context(removal())
            yield

    return apply


UPDATE = 'UPDATE "annotation_assignment"'
SWEEP_SKIPS = r'(FROM "annotation_{}".*FOR NO KEY UPDATE) SKIP LOCKED'
MUTATIONS = {
    "SKIP LOCKED, started items nearby": Mutation(
        skip_locked(0), guards.test_a_locked_started_item_nearby_is_passed_over
    ),
    "SKIP LOCKED, fresh items": Mutation(
        skip_locked(1), guards.test_a_locked_fresh_item_is_passed_over
    ),
    "SKIP LOCKED, fresh items from the front": Mutation(
        skip_locked(2), guards.test_a_locked_fresh_item_at_the_front_is_passed_over
    ),
    "SKIP LOCKED, started items anywhere": Mutation(
        skip_locked(3), guards.test_a_locked_started_item_anywhere_is_passed_over
    ),
    "waiting for the last slots of fresh items": Mutation(
        waiting(0), guards.test_who_finds_the_last_slot_locked_waits_for_it
    ),
    "waiting for the last slots of started items": Mutation(
        waiting(1), guards.test_who_finds_a_started_item_locked_waits_for_it
    ),
    "waiting: what another begins is taken": Mutation(
        function("annotation_lock_open_item", *ONLY_FRESH),
        guards.test_what_another_begins_meanwhile_is_taken_at_once,
    ),
    "SKIP LOCKED, items in the sweep": Mutation(
        sql(SWEEP_SKIPS.format("item"), r"\1"), guards.test_the_sweep_passes_over_a_locked_item
    ),
    "SKIP LOCKED, leases in the sweep": Mutation(
        sql(SWEEP_SKIPS.format("assignment"), r"\1"),
        guards.test_the_sweep_passes_over_what_is_being_answered,
    ),
    "one window after the other": Mutation(
        function(
            "annotation_claim",
            "WHERE user_id = in_user FOR NO KEY UPDATE",
            "WHERE user_id = in_user",
        ),
        guards.test_two_windows_come_one_after_the_other,
    ),
    "unique: one assignment an item, person and occasion": Mutation(
        constraint("assignment", "assignment_unique"), constraints.test_one_assignment_an_occasion
    ),
    "unique: the client's key": Mutation(
        constraint("judgment", "annotation_judgment_client_key_key"),
        constraints.test_a_client_key_counts_once,
    ),
    "unique: revisions": Mutation(
        constraint("judgment", "judgment_revision_unique"), guards.test_a_revision_counts_once
    ),
    "check: never over-assigned": Mutation(
        constraint("item", "item_never_over_assigned", "annotation_item_open_slots_check"),
        constraints.test_no_item_is_over_assigned,
    ),
    "check: no slot too many": Mutation(
        constraint("item", "item_never_over_assigned"), guards.test_a_slot_too_many_is_refused
    ),
    "check: slots are for main judgments": Mutation(
        constraint("assignment", "assignment_slot_is_for_main"),
        constraints.test_only_main_judgments_take_slots,
    ),
    "check: an answered assignment has its judgment": Mutation(
        constraint("assignment", "assignment_answered_has_judgment"),
        constraints.test_done_needs_a_judgment,
    ),
    "check: a lease has an end": Mutation(
        constraint("assignment", "assignment_leased_has_lease"), guards.test_a_lease_has_an_end
    ),
    "trigger: slots follow assignments": Mutation(
        lambda: without_trigger("annotation_assignment", "keep_slots"),
        constraints.test_slots_follow_assignments,
    ),
    "trigger: judgments are never changed": Mutation(
        lambda: without_trigger("annotation_judgment", "append_only"),
        constraints.test_judgments_and_answers_are_never_changed,
    ),
    "trigger: answers are never changed": Mutation(
        lambda: without_trigger("annotation_answer", "append_only"),
        constraints.test_judgments_and_answers_are_never_changed,
    ),
    "fence: a heartbeat asks for the lease": Mutation(
        asking_no_more("state", of=UPDATE), claims.test_a_heartbeat_extends_a_live_lease_only
    ),
    "fence: a skip asks for the lease": Mutation(
        asking_no_more("state", of=UPDATE), skips.test_an_answered_item_cannot_be_skipped
    ),
    "fence: an answer asks for the lease, and the check behind it": Mutation(
        both(
            asking_no_more("state", of=UPDATE),
            constraint("item", "item_never_over_assigned", "annotation_item_open_slots_check"),
        ),
        guards.test_an_answer_from_a_lease_that_was_lost_takes_no_slot,
    ),
    "fence: the sweep asks again whether the lease ran out": Mutation(
        asking_no_more(
            "lease_expires_at", of=rf"(?:{UPDATE}|FROM .annotation_assignment. .*?WHERE)"
        ),
        guards.test_a_heartbeat_during_the_sweep_keeps_the_lease,
    ),
    "fence: a claim asks whether its lease is live": Mutation(
        function(
            "annotation_claim", "WHERE a.id = held AND a.state = 'leased'", "WHERE a.id = held"
        ),
        guards.test_what_is_answered_meanwhile_is_not_handed_out_again,
    ),
    "fence: only what ran out is leased again": Mutation(
        function("annotation_lease", "AND state = 'expired'", ""),
        guards.test_a_lease_that_was_answered_is_not_made_again,
    ),
}


def play(test: Callable[..., None]) -> None:
    """The test as it stands in its file, with people and an item of its own."""
    cast = make_cast()
    needs = test.__code__.co_varnames[: test.__code__.co_argcount]
    fixtures: dict[str, Any] = {"cast": cast}
    if "item" in needs:
        fixtures["item"] = make_item(cast.project, overlap=1)
    test(**{name: fixtures[name] for name in needs})


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_suite_notices(name: str) -> None:
    mutation = MUTATIONS[name]
    play(mutation.test)
    call_command("flush", verbosity=0, interactive=False)
    with mutation.apply(), pytest.raises(FAILURES):
        play(mutation.test)


def test_every_skip_locked_of_a_claim_is_here() -> None:
    functions = "SELECT string_agg(prosrc, '') FROM pg_proc WHERE proname LIKE 'annotation%%'"
    assert run(functions)[0].count("SKIP LOCKED") == len(
        [name for name in MUTATIONS if name.startswith("SKIP LOCKED") and "sweep" not in name]
    )
