"""50 labelers in a closed loop against 10,000 items with overlap 3, over the HTML route.

The production server, sessions and CSRF on, the next item in the submit's reply, the load
generator on the same cores, a web process killed with -9 in the middle. What must be zero:
items judged more often than their overlap, and acknowledged answers that are not stored.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bench.load.server import ROOT, database, kill_one_web_process, web

LABELERS = 50
ITEMS = 10_000
OVERLAP = 3
SECONDS = 60.0


def run(
    *, labelers: int = LABELERS, items: int = ITEMS, seconds: float = SECONDS, kills: int = 1
) -> dict[str, Any]:
    with database() as data:
        project, sessions = make_work(labelers, items)
        with web() as server:
            outcome = label(data, project, sessions, seconds, server.pid, kills)
            memory = web_memory(server.pid)
        return figures(outcome, project, labelers, items, kills) | {"web_processes": memory}


def make_work(labelers: int, items: int) -> tuple[int, list[str]]:
    """Distinct prompts with two answers of a usual length each; signed-in sessions."""
    from annotation.models import Kind
    from annotation.services.content import (
        NewPrompt,
        NewResponse,
        add_prompts,
        add_responses,
        get_generator,
    )
    from annotation.services.item import create_items
    from annotation.services.membership import set_membership
    from annotation.services.project import create_project
    from core.models import User

    owner = User.objects.create(username="owner", can_create_projects=True)
    criteria = [{"key": "overall", "name": "Overall", "definition": "Which answer is better?"}]
    project = create_project(
        creator=owner, name="Load", kinds=[Kind.PAIRWISE], criteria=criteria, overlap=OVERLAP
    )
    models = [get_generator(name=name) for name in ("one", "two")]
    for begin in range(0, items, 2000):
        numbers = range(begin, min(begin + 2000, items))
        prompts = add_prompts(project=project, prompts=[NewPrompt(question(n)) for n in numbers])
        responses = add_responses(
            responses=[
                NewResponse(prompt=prompt, generator=model, messages=answer(prompt.pk, side))
                for prompt in prompts
                for side, model in enumerate(models)
            ]
        )
        pairs = [responses[at : at + 2] for at in range(0, len(responses), 2)]
        create_items(project=project, kind=Kind.PAIRWISE, groups=pairs)
    people = [User.objects.create(username=f"labeler-{number}") for number in range(labelers)]
    for person in people:
        set_membership(project=project, user=person, role="labeler", actor=owner)
    return project.pk, [session_of(person) for person in people]


def question(number: int) -> list[dict[str, str]]:
    words = " ".join(f"w{(number * 7919 + k * 104729) % 99991}" for k in range(25))
    return [{"role": "user", "content": f"Question {number}: explain how {words} fit together."}]


def answer(number: int, side: int) -> list[dict[str, str]]:
    text = "\n\n".join(
        f"**Point {k}.** Answer {side} to {number} says something useful, with `code` and a list:"
        "\n\n- first this\n- then that"
        for k in range(5)
    )
    return [{"role": "assistant", "content": text}]


def session_of(user: Any) -> str:
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def label(
    data: Path, project: int, sessions: list[str], seconds: float, server: int, kills: int
) -> dict[str, Any]:
    settings, outcome = data / "load.json", data / "outcome.json"
    settings.write_text(
        json.dumps(
            {
                "port": int(os.environ["PREFLOOP_PORT"]),
                "project": project,
                "sessions": sessions,
                "seconds": seconds,
                "outcome": str(outcome),
            }
        )
    )
    nemesis = threading.Thread(target=kill_in_the_middle, args=(server, seconds, kills))
    nemesis.start()
    subprocess.run(
        [sys.executable, "-m", "bench.load.labeler", str(settings)], cwd=ROOT, check=True
    )
    nemesis.join()
    result: dict[str, Any] = json.loads(outcome.read_text())
    return result


def kill_in_the_middle(server: int, seconds: float, kills: int) -> None:
    for _ in range(kills):
        time.sleep(seconds / (kills + 1))
        kill_one_web_process(server)


def figures(
    outcome: dict[str, Any], project: int, labelers: int, items: int, kills: int
) -> dict[str, Any]:
    from django.db.models import Count, F, Q

    from annotation.models import Item, Judgment

    stored = set(
        Judgment.objects.filter(assignment__item__project=project).values_list(
            "client_key", flat=True
        )
    )
    counted = Count("assignments", filter=Q(assignments__state__in=["done", "leased"]))
    crowded = Item.objects.annotate(counted=counted).filter(counted__gt=F("overlap"))
    drifted = Item.objects.annotate(counted=counted).exclude(open_slots=F("overlap") - F("counted"))
    lost = [key for key in outcome["acknowledged"] if f"web:{key}" not in stored]
    times = sorted(outcome["milliseconds"])
    result = {
        "labelers": labelers,
        "items": items,
        "overlap": OVERLAP,
        "seconds": round(outcome["seconds"], 1),
        "take_and_submit": len(outcome["acknowledged"]),
        "take_and_submit_per_second": round(len(times) / outcome["seconds"], 1),
        "p50_ms": round(times[len(times) // 2], 1),
        "p99_ms": round(times[int(len(times) * 0.99)], 1),
        "web_processes_killed": kills,
        "resent_after_the_kill": outcome["resent"],
        "over_assigned_items": crowded.count(),
        "items_with_drifted_slots": drifted.count(),
        "lost_submits": len(lost),
        "doubled_submits": len(outcome["acknowledged"]) - len(set(outcome["acknowledged"])),
    }
    if result["over_assigned_items"] or result["lost_submits"]:
        raise AssertionError(result)
    return result


def web_memory(server: int) -> list[dict[str, Any]]:
    import psutil

    return [
        {
            "resident_mb": round(process.memory_info().rss / 2**20, 1),
            "torch_loaded": any("torch" in str(file.path) for file in process.memory_maps()),
        }
        for process in psutil.Process(server).children()
    ]
