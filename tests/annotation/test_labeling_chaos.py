"""The small version of bench/proofs/labeling_chaos.py, and whether its checker sees what is wrong.

The proof has processes and a durable database of its own, which it kills.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from annotation.answers import AnswerValue
from annotation.models import Response
from annotation.services.claim_item import claim_item
from annotation.services.submit_judgment import submit_judgment
from bench.load.checker import History, broken_promises, broken_rules
from tests.cast import Cast, make_item

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 800  # under 40 on an idle machine


def test_nothing_is_lost_doubled_or_stuck_while_all_is_killed() -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    proof = subprocess.Popen(
        [sys.executable, "-m", "bench.proofs.labeling_chaos"],
        cwd=ROOT,
        env=kept,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said, _ = proof.communicate(timeout=SECONDS)
    finally:
        proof.terminate()
        proof.wait(timeout=60)
    assert proof.returncode == 0
    told = json.loads(said)
    assert told["answers_acknowledged"] >= (told["items"] - told["of_which_gold"]) * told["overlap"]
    assert told["events"]["sent, held"]  # the next item was there before the answer went out
    assert {name: each["times"] for name, each in told["killed"].items()} == {
        "PostgreSQL, kill -9": 1,
        "web master, kill -9": 1,
        "web worker, kill -9": 1,
    }
    assert set(told["must_be_zero"].values()) == {0}


@pytest.fixture
def history(cast: Cast) -> History:
    """Bob has answered one item of overlap 2, and his log says so."""
    make_item(cast.project)
    assignment = claim_item(project=cast.project, user=cast.bob)
    assert assignment is not None
    responses = Response.objects.filter(item_responses__item=assignment.item)
    for number, response in enumerate(responses.order_by("item_responses__position")):
        message = [{"role": "assistant", "content": f"An answer. token-7-{number}"}]
        Response.objects.filter(pk=response.pk).update(messages=message)
    submit_judgment(
        assignment=assignment, client_key="web:k", answers={"overall": AnswerValue(strength=2)}
    )
    tokens = [f"token-7-{position}" for position in assignment.shown_order]
    sent = {
        "key": "k",
        "assignment": assignment.pk,
        "tokens": tokens,
        "answers": {"overall": {"strength": 2}},
    }
    return History(sent={"k": sent}, acknowledged=["k"])


def rules_broken(cast: Cast, *, drained: bool = False) -> set[str]:
    connection.ensure_connection()
    found = broken_rules(connection.connection, cast.project.pk, drained=drained)
    return {name for name, rows in found.items() if rows}


def promises_broken(cast: Cast, history: History) -> set[str]:
    found = broken_promises(connection.connection, cast.project.pk, history)
    return {name for name, rows in found.items() if rows}


def test_the_checker_finds_no_fault_in_what_is_sound(cast: Cast, history: History) -> None:
    assert rules_broken(cast) == set()
    assert promises_broken(cast, history) == set()


COPY = """INSERT INTO annotation_assignment
    (item_id, annotator_id, occasion, shown_order, state, takes_slot, skip_reason, created_at,
     lease_expires_at)
    SELECT item_id, annotator_id, {}, shown_order, 'leased', false, '', now(), now()
    FROM annotation_assignment"""
BREAKS: dict[str, list[str]] = {
    "over_assigned_items": ["UPDATE annotation_item SET open_slots = 0, overlap = 0"],
    "counters_adrift": ["UPDATE annotation_item SET open_slots = 0"],
    "people_twice_on_an_item": [
        "ALTER TABLE annotation_assignment DROP CONSTRAINT assignment_unique",
        COPY.format("occasion"),
    ],
    "people_with_many_leases": [COPY.format("'gold'"), COPY.format("'probe ' || id")],
    "answers_that_do_not_count": [
        "UPDATE annotation_assignment SET state = 'expired', current_id = NULL"
    ],
    "done_without_an_answer": [
        "ALTER TABLE annotation_answer DISABLE TRIGGER append_only",
        "DELETE FROM annotation_answer",
    ],
    "doubled_submits": [
        "ALTER TABLE annotation_judgment DROP CONSTRAINT annotation_judgment_client_key_key",
        """INSERT INTO annotation_judgment
           (assignment_id, revision, protocol_id, client_key, origin, reasons, created_at)
           SELECT assignment_id, 2, protocol_id, client_key, origin, reasons, created_at
           FROM annotation_judgment""",
    ],
}


@pytest.mark.parametrize("rule", BREAKS)
def test_the_checker_sees_a_broken_rule(cast: Cast, history: History, rule: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for sql in BREAKS[rule]:
            cursor.execute(sql)
    assert rule in rules_broken(cast)


def test_the_checker_sees_a_stuck_item(cast: Cast, history: History) -> None:
    assert rules_broken(cast, drained=True) == {"stuck_items"}


def _changed(history: History, **fields: Any) -> History:
    return History(sent={"k": history.sent["k"] | fields}, acknowledged=["k"])


def test_the_checker_sees_a_broken_promise(cast: Cast, history: History) -> None:
    sent = history.sent["k"]
    lost = History(sent=history.sent | {"other": sent}, acknowledged=["k", "other"])
    assert promises_broken(cast, lost) == {"acknowledged_and_lost"}
    assert promises_broken(cast, History()) == {"stored_and_never_sent"}
    changed = {"acknowledged_and_changed"}
    other_answer = {"overall": {"strength": -2}}
    assert promises_broken(cast, _changed(history, answers=other_answer)) == changed
    # The page showed them the other way round than the database says.
    assert promises_broken(cast, _changed(history, tokens=sent["tokens"][::-1])) == changed
    assert promises_broken(cast, _changed(history, assignment=sent["assignment"] + 1)) == changed
