"""Freezes what is decided into an immutable, hashed dataset version."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Max

from annotation.models import Project
from core import jobs
from core.errors import PrefloopError
from core.models import Job, User
from core.services.audit import record_event
from feedback.models import Policy, Snapshot
from feedback.progress import ShowsProgress
from feedback.selectors.preferences import count_by_state
from feedback.selectors.snapshot import (
    LEFT_OUT,
    count_left_out,
    count_sides,
    records,
    usable_ids,
)
from feedback.services.policy import PolicyValues, current_policy
from feedback.services.resolve_items import is_resolved, resolve_stale
from feedback.shapes import SHAPES, Record, ShapeOptions
from feedback.snapshot_files import SnapshotWriter

FORMAT = 1
SIDE_NAMES = {"train": "training", "held_out": "held-out"}


class NothingToFreeze(PrefloopError):
    """A side of the snapshot would be empty."""

    code = "empty_side"


@dataclass(frozen=True)
class Frozen:
    """`is_new` is false where the same content had been frozen before."""

    snapshot: Snapshot
    is_new: bool


def freeze_snapshot(
    *,
    project: Project,
    created_by: User | None,
    note: str = "",
    context: ShowsProgress | None = None,
) -> Snapshot:
    """The snapshot of what is decided now; the one before when nothing has changed since."""
    return freeze(project=project, created_by=created_by, note=note, context=context).snapshot


def request_freeze(*, project: Project, created_by: User, note: str = "") -> Job:
    """Refuses at once what is known to fail; what is not decided yet is decided by the job."""
    if is_resolved(project):
        refuse_empty_side(project)
    return jobs.enqueue(
        "freeze_snapshot", args={"note": note[:200]}, created_by=created_by, project_id=project.pk
    )


def freeze(
    *,
    project: Project,
    created_by: User | None,
    note: str = "",
    context: ShowsProgress | None = None,
) -> Frozen:
    """Not one transaction: preferences never change, so a list of their ids is a fixed view."""
    if context is not None:
        context.progress(done=0, total=0, message="Deciding about the newest judgments")
    resolve_stale(project=project)
    refuse_empty_side(project)
    ids = usable_ids(project)
    with SnapshotWriter() as writer:
        tally = _Tally()
        for record in _with_progress(records(ids), len(ids), context):
            writer.write(record)
            tally.add(record)
        files = writer.close()
        content_hash = writer.content_hash()
        manifest = {
            "format": FORMAT,
            "content_hash": content_hash,
            "files": files,
            **tally.manifest(),
            "left_out": count_left_out(project),
            "policy": _policy(current_policy(project)),
        }
        writer.place(content_hash, manifest)
    return _register(project, created_by, note, content_hash, manifest)


def refuse_empty_side(project: Project) -> None:
    sides = count_sides(project)
    empty = [SIDE_NAMES[side] for side in SIDE_NAMES if not sides[side]]
    if not empty:
        return
    which = " and the ".join(empty)
    verb = "sides" if len(empty) == 2 else "side"
    raise NothingToFreeze(
        f"The {which} {verb} of the snapshot would be empty. {_reasons(project)} "
        "A prompt's side is decided once, when it is first seen, so more decided items on more "
        "prompts fill the other side."
    )


def _reasons(project: Project) -> str:
    left_out = count_left_out(project)
    if not sum(count_by_state(project).values()):
        return "Nothing has been judged in this project yet."
    told = [f"{count} {LEFT_OUT[reason]}" for reason, count in left_out.items()]
    if not told:
        return "All that was judged is decided."
    return f"Of what was judged, {', '.join(told)}.{_remedy(project, left_out)}"


def _remedy(project: Project, left_out: dict[str, int]) -> str:
    words = ""
    if left_out.keys() & {"waiting", "closed"}:
        wanted = current_policy(project).min_judgments
        words = f" The policy waits for {wanted} on each item."
    if "closed" in left_out:
        words += (
            " Nobody is asked about a closed item, and an import closes what it brings judgments "
            "on: lower the number on the project's Policy page, or open the items again."
        )
    return words


def _with_progress(
    rows: Iterator[Record], total: int, context: ShowsProgress | None
) -> Iterator[Record]:
    for done, row in enumerate(rows):
        if context is not None and done % 200 == 0:
            context.progress(done=done, total=total, message="Writing records")
        yield row


# What the manifest counts: as it is, and as a switch at launch would make it.
_COUNTED = [
    *((data, data, ShapeOptions()) for data in SHAPES),
    ("binary_from_pairs", "binary", ShapeOptions(binary_from_pairs=True)),
    (
        "demonstrations_from_preferred",
        "demonstrations",
        ShapeOptions(demonstrations_from_preferred=True),
    ),
]


@dataclass
class _Tally:
    """What the manifest tells about the records, counted as they pass."""

    counts: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    rows: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    asked: defaultdict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    # Of these, the prompts with a reference answer.
    answered: defaultdict[tuple[str, str], set[int]] = field(
        default_factory=lambda: defaultdict(set)
    )
    prompts: dict[str, set[int]] = field(
        default_factory=lambda: {side: set() for side in SIDE_NAMES}
    )
    support: Counter[str] = field(default_factory=Counter)
    policies: set[int] = field(default_factory=set)
    protocols: set[int] = field(default_factory=set)

    def add(self, record: Record) -> None:
        side, criterion = record["side"], record["criterion"]
        self.counts[side, record["kind"], criterion, record["state"]] += 1
        self.prompts[side].add(record["prompt_id"])
        if "reference" in record:
            self.answered[criterion, side].add(record["prompt_id"])
        self.support["people"] += record["support"]["people"]
        self.support["judges"] += record["support"]["judges"]
        self.policies.add(record["policy"])
        if record["protocol"] is not None:
            self.protocols.add(record["protocol"])
        for name, data, options in _COUNTED:
            if data == "prompts":
                self.asked[criterion, side].add(record["prompt_id"])
                self.rows[name, criterion, side] = len(self.asked[criterion, side])
            else:
                rows = SHAPES[data](record, options)
                self.rows[name, criterion, side] += sum(1 for _ in rows)

    def manifest(self) -> dict[str, Any]:
        fields = ("side", "kind", "criterion", "state", "records")
        counts = [dict(zip(fields, (*key, n), strict=True)) for key, n in self.counts.items()]
        rows: dict[str, dict[str, dict[str, int]]] = {}
        for (data, criterion, side), count in sorted((+self.rows).items()):
            sides = rows.setdefault(data, {}).setdefault(criterion, dict.fromkeys(SIDE_NAMES, 0))
            sides[side] = count
        answers: dict[str, dict[str, int]] = {}
        for (criterion, side), prompts in sorted(self.answered.items()):
            answers.setdefault(criterion, dict.fromkeys(SIDE_NAMES, 0))[side] = len(prompts)
        return {
            "counts": sorted(counts, key=lambda row: [str(row[name]) for name in fields[:-1]]),
            "rows": rows,
            "answers": answers,
            "prompts": {side: len(prompts) for side, prompts in self.prompts.items()},
            "judgments": dict(self.support),
            "policies": sorted(self.policies),
            "protocols": sorted(self.protocols),
        }


def _policy(policy: Policy) -> dict[str, Any]:
    return {"version": policy.version, **vars(PolicyValues.of(policy))}


@transaction.atomic
def _register(
    project: Project,
    created_by: User | None,
    note: str,
    content_hash: str,
    manifest: dict[str, Any],
) -> Frozen:
    Project.objects.select_for_update().get(pk=project.pk)
    same = project.snapshots.filter(content_hash=content_hash, replaced_by=None).first()
    if same is not None:
        return Frozen(same, is_new=False)
    newest = project.snapshots.aggregate(newest=Max("version"))["newest"] or 0
    snapshot = Snapshot.objects.create(
        project=project, version=newest + 1, note=note[:200], content_hash=content_hash,
        manifest=manifest, created_by=created_by,
    )  # fmt: skip
    record_event(
        actor=created_by, action="freeze_snapshot", target=snapshot, project_id=project.pk,
        detail={"content_hash": content_hash, "version": snapshot.version},
    )  # fmt: skip
    return Frozen(snapshot, is_new=True)
