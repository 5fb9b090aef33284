"""Reads the clients' logs and the tables, and says what does not fit.

It shares no code with the product: SQL of its own, and the texts that stood on the page tell
which response was meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench.load.answers import canonical

# Each finds rows that must not be there. A slot is held by a lease or a counted answer.
RULES = {
    "over_assigned_items": """
        SELECT i.id FROM annotation_item i JOIN annotation_assignment a ON a.item_id = i.id
        WHERE i.project_id = %(project)s AND a.takes_slot AND a.state IN ('leased', 'done')
        GROUP BY i.id HAVING count(*) > i.overlap""",
    "counters_adrift": """
        SELECT i.id FROM annotation_item i LEFT JOIN annotation_assignment a
          ON a.item_id = i.id AND a.takes_slot AND a.state IN ('leased', 'done')
        WHERE i.project_id = %(project)s
        GROUP BY i.id HAVING i.open_slots <> i.overlap - count(a.id)""",
    "people_twice_on_an_item": """
        SELECT a.item_id FROM annotation_assignment a JOIN annotation_item i ON i.id = a.item_id
        WHERE i.project_id = %(project)s
        GROUP BY a.item_id, a.annotator_id, a.occasion HAVING count(*) > 1""",
    "people_with_many_leases": """
        SELECT a.annotator_id FROM annotation_assignment a JOIN annotation_item i
          ON i.id = a.item_id
        WHERE i.project_id = %(project)s AND a.state = 'leased'
        GROUP BY a.annotator_id HAVING count(*) > 2""",
    "doubled_submits": """
        SELECT j.client_key FROM annotation_judgment j
        JOIN annotation_assignment a ON a.id = j.assignment_id
        JOIN annotation_item i ON i.id = a.item_id
        WHERE i.project_id = %(project)s GROUP BY j.client_key HAVING count(*) > 1""",
    "answers_that_do_not_count": """
        SELECT a.id FROM annotation_assignment a JOIN annotation_item i ON i.id = a.item_id
        JOIN LATERAL (
          SELECT j.id FROM annotation_judgment j WHERE j.assignment_id = a.id
          ORDER BY j.revision DESC LIMIT 1) newest ON true
        WHERE i.project_id = %(project)s AND (
          a.current_id IS DISTINCT FROM newest.id OR a.state NOT IN ('done', 'surplus'))""",
    "done_without_an_answer": """
        SELECT a.id FROM annotation_assignment a JOIN annotation_item i ON i.id = a.item_id
        WHERE i.project_id = %(project)s AND a.state IN ('done', 'surplus')
          AND NOT EXISTS (SELECT 1 FROM annotation_judgment j JOIN annotation_answer v
            ON v.judgment_id = j.id WHERE j.assignment_id = a.id)""",
}
# Only once everything is drained.
STUCK = """
    SELECT i.id FROM annotation_item i LEFT JOIN annotation_assignment a
      ON a.item_id = i.id AND a.takes_slot AND a.state = 'done'
    WHERE i.project_id = %(project)s AND NOT i.is_gold
      AND i.closed_at IS NULL AND i.held_at IS NULL
    GROUP BY i.id HAVING count(a.id) <> i.overlap"""
STORED = """
    SELECT j.client_key, j.assignment_id, a.item_id, v.criterion,
      v.strength, v.ranks, v.acceptable_to, v.thumb
    FROM annotation_judgment j JOIN annotation_assignment a ON a.id = j.assignment_id
    JOIN annotation_item i ON i.id = a.item_id
    JOIN annotation_answer v ON v.judgment_id = j.id WHERE i.project_id = %(project)s"""
PLACES = r"""
    SELECT substring(r.messages::text FROM 'token-\d+-\d+'), ir.item_id, ir.position
    FROM annotation_itemresponse ir JOIN annotation_response r ON r.id = ir.response_id
    JOIN annotation_item i ON i.id = ir.item_id WHERE i.project_id = %(project)s"""
STATES = """
    SELECT a.state, count(*) FROM annotation_assignment a JOIN annotation_item i
      ON i.id = a.item_id WHERE i.project_id = %(project)s GROUP BY a.state"""


@dataclass
class History:
    """What the labelers' logs say."""

    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    events: dict[str, int] = field(default_factory=dict)


def read_logs(folder: Path) -> History:
    history = History()
    for event in (event for log in sorted(folder.glob("*.jsonl")) for event in _events(log)):
        name = event["event"]
        name = f"{name} {event['status']}" if name in {"status", "refused"} else name
        history.events[name] = history.events.get(name, 0) + 1
        if name == "sending":
            history.sent[event["key"]] = event
            how = f"sent, {event['how']}"
            history.events[how] = history.events.get(how, 0) + 1
        elif name == "acknowledged":
            history.acknowledged.append(event["key"])
    return history


def _events(log: Path) -> Iterator[dict[str, Any]]:
    for line in log.read_text().splitlines(keepends=True):
        if line.endswith("\n"):  # else the process was killed in the middle of it
            yield json.loads(line)


def broken_rules(
    connection: psycopg.Connection[Any], project: int, *, drained: bool
) -> dict[str, list[Any]]:
    """The rows that break a rule, by rule; all empty when the tables are sound."""
    rules = RULES | ({"stuck_items": STUCK} if drained else {})
    values = {"project": project}
    return {
        name: [row[0] for row in connection.execute(sql, values)] for name, sql in rules.items()
    }


def broken_promises(
    connection: psycopg.Connection[Any], project: int, history: History
) -> dict[str, list[Any]]:
    """Acknowledged answers that are not stored, or stored otherwise; answers that nobody sent."""
    stored = _stored(connection, project)
    places = {
        token: (item, position)
        for token, item, position in connection.execute(PLACES, {"project": project})
    }
    known = {key: kept for key in history.acknowledged if (kept := stored.get(f"web:{key}"))}
    return {
        "acknowledged_and_lost": [key for key in history.acknowledged if key not in known],
        "acknowledged_and_changed": [
            key for key, kept in known.items() if kept != _meant(history.sent[key], places)
        ],
        "stored_and_never_sent": [
            key for key in stored if key.removeprefix("web:") not in history.sent
        ],
    }


def _stored(connection: psycopg.Connection[Any], project: int) -> dict[str, tuple[Any, ...]]:
    """By client key: assignment, item, and the answers by criterion."""
    stored: dict[str, tuple[Any, ...]] = {}
    for key, assignment, item, criterion, *value in connection.execute(
        STORED, {"project": project}
    ):
        names = ("strength", "ranks", "acceptable_to", "thumb")
        answer = {name: one for name, one in zip(names, value, strict=True) if one is not None}
        stored.setdefault(key, (assignment, item, {}))[2][criterion] = answer
    return stored


def _meant(sent: dict[str, Any], places: dict[str, tuple[int, int]]) -> tuple[Any, ...]:
    found = [places[token] for token in sent["tokens"]]
    positions = [position for _, position in found]
    answers = {name: canonical(one, positions) for name, one in sent["answers"].items()}
    return sent["assignment"], found[0][0], answers


def check(url: str, project: int, logs: Path, *, drained: bool = True) -> dict[str, Any]:
    """Counts; raises when one of those that must be zero is not."""
    history = read_logs(logs)
    with psycopg.connect(url) as connection:
        broken = broken_rules(connection, project, drained=drained)
        broken |= broken_promises(connection, project, history)
        states: dict[str, int] = dict(connection.execute(STATES, {"project": project}).fetchall())
    _refuse(broken, states)
    return {
        "answers_sent": len(history.sent),
        "answers_acknowledged": len(set(history.acknowledged)),
        "assignments": dict(sorted(states.items())),
        "events": dict(sorted(history.events.items())),
        "must_be_zero": {name: len(rows) for name, rows in broken.items()},
    }


def _refuse(broken: dict[str, list[Any]], states: dict[str, int]) -> None:
    found = {name: (len(rows), rows[:5]) for name, rows in broken.items() if rows}
    if found:
        raise AssertionError(f"Count and first five: {found}; assignments: {states}")
