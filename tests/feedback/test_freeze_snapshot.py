"""A snapshot is immutable, hashed, split by prompt, and never has an empty side."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from annotation.models import Item, Kind, Project, Prompt, Side
from core import jobs
from core.errors import PrefloopError
from core.models import AuditEvent
from feedback.models import Preference, Snapshot
from feedback.services.freeze_snapshot import NothingToFreeze, freeze, request_freeze
from feedback.snapshot_files import SnapshotDamaged, folder_of, read_records, verify
from tests.cast import Cast, make_item
from tests.feedback.votes import judged, vote


def decide_both_sides(project: Project) -> None:
    for side in (Side.TRAIN, Side.HELD_OUT):
        judged(project, Kind.PAIRWISE, 2, 1, side=side)
        judged(project, Kind.LISTWISE, [1, 2, 3], [1, 3, 2], side=side)
        judged(project, Kind.THUMBS, 1, 1, side=side)


def test_it_works(cast: Cast) -> None:
    decide_both_sides(cast.project)
    judged(cast.project, Kind.PAIRWISE, 2)
    judged(cast.project, Kind.PAIRWISE, 2, -2)
    snapshot = freeze(project=cast.project, created_by=cast.rosa, note="first").snapshot
    records = list(read_records(snapshot))
    assert [record["side"] for record in records] == ["train"] * 3 + ["held_out"] * 3
    first = records[0]
    assert first["outcome"] == {"strength": 1.5, "both_bad": False}
    assert [one["id"] for one in first["responses"]] == sorted(
        one["id"] for one in first["responses"]
    )
    assert (first["support"], first["policy"], first["protocol"]) == (
        {"people": 2, "judges": 0}, 1, 1,
    )  # fmt: skip
    assert snapshot.manifest["left_out"] == {"contested": 1, "waiting": 1}
    assert snapshot.manifest["prompts"] == {"train": 3, "held_out": 3}
    assert snapshot.manifest["rows"]["pairs"] == {"overall": {"train": 3, "held_out": 3}}
    assert (snapshot.version, snapshot.created_by, snapshot.note) == (1, cast.rosa, "first")
    assert AuditEvent.objects.filter(action="freeze_snapshot").count() == 1


def test_reference_answers_are_frozen_and_counted(cast: Cast) -> None:
    decide_both_sides(cast.project)
    without = freeze(project=cast.project, created_by=None).snapshot
    assert without.manifest["answers"] == {}
    for side, tag in ((Side.TRAIN, 42), (Side.HELD_OUT, " ")):
        Prompt.objects.filter(side=side).update(tags={"reference": tag, "topic": "sums"})
    Prompt.objects.filter(pk=Prompt.objects.filter(side=Side.TRAIN)[0].pk).update(
        tags={"reference": "forty-two"}
    )
    snapshot = freeze(project=cast.project, created_by=None).snapshot
    assert snapshot.manifest["answers"] == {"overall": {"train": 3, "held_out": 0}}
    found = [record.get("reference") for record in read_records(snapshot)]
    assert sorted(map(str, found)) == ["42", "42", *["None"] * 3, "forty-two"]


def test_the_hash_is_that_of_the_two_files(cast: Cast) -> None:
    decide_both_sides(cast.project)
    snapshot = freeze(project=cast.project, created_by=None).snapshot
    folder = folder_of(snapshot)
    both = (folder / "train.jsonl").read_bytes() + (folder / "held_out.jsonl").read_bytes()
    assert hashlib.sha256(both).hexdigest() == snapshot.content_hash == folder.name
    assert json.loads((folder / "manifest.json").read_text()) == snapshot.manifest


def test_again_gives_the_same_snapshot(cast: Cast) -> None:
    decide_both_sides(cast.project)
    first = freeze(project=cast.project, created_by=cast.rosa)
    second = freeze(project=cast.project, created_by=cast.mary)
    assert (first.is_new, second.is_new) == (True, False)
    assert first.snapshot == second.snapshot
    assert not list(folder_of(first.snapshot).parent.glob(".building-*"))


@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_freezing_again_mends_damaged_files(cast: Cast, harm: str) -> None:
    decide_both_sides(cast.project)
    first = freeze(project=cast.project, created_by=None).snapshot
    path = folder_of(first) / "train.jsonl"
    path.unlink()
    if harm == "changed":
        path.write_bytes(b"{}\n")
    assert freeze(project=cast.project, created_by=None).snapshot == first
    verify(first)


def test_news_make_a_new_version(cast: Cast) -> None:
    decide_both_sides(cast.project)
    first = freeze(project=cast.project, created_by=None).snapshot
    judged(cast.project, Kind.THUMBS, 0, 0)
    second = freeze(project=cast.project, created_by=None).snapshot
    assert (second.version, second.content_hash != first.content_hash) == (2, True)
    verify(first)


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        ([], "training and the held-out sides .* Nothing has been judged"),
        ([Side.TRAIN], "held-out side .* All that was judged is decided"),
        ([Side.HELD_OUT], "training side"),
        ([Side.TRAIN, Side.NEITHER], "1 have a prompt that is close to prompts of both sides"),
    ],
)
def test_an_empty_side_is_refused(cast: Cast, sides: list[str], words: str) -> None:
    for side in sides:
        judged(cast.project, Kind.PAIRWISE, 2, 1, side=side)
    with pytest.raises(NothingToFreeze, match=words):
        freeze(project=cast.project, created_by=None)
    with pytest.raises(NothingToFreeze):
        request_freeze(project=cast.project, created_by=cast.rosa)
    assert not Snapshot.objects.exists()


def test_closed_items_with_too_few_judgments_are_told_apart(cast: Cast) -> None:
    """As an import leaves them: nobody is asked about them, so that they do not just wait."""
    judged(cast.project, Kind.PAIRWISE, 2)
    alone = judged(cast.project, Kind.PAIRWISE, 2)
    Item.objects.filter(pk=alone.pk).update(closed_at=timezone.now())
    with pytest.raises(NothingToFreeze) as refused:
        freeze(project=cast.project, created_by=None)
    words = refused.value.message
    assert "1 are closed with fewer judgments than the policy asks for, 1 wait" in words
    assert "The policy waits for 2 on each item. Nobody is asked about a closed item" in words
    Item.objects.update(closed_at=None)
    with pytest.raises(NothingToFreeze) as refused:
        freeze(project=cast.project, created_by=None)
    assert "2 wait for more judgments. The policy waits for 2" in refused.value.message
    assert "closed" not in refused.value.message


def test_asking_decides_nothing_itself(cast: Cast, django_assert_max_num_queries: Any) -> None:
    """The click returns at once however much waits; the job decides, then freezes or refuses."""
    judged(cast.project, Kind.PAIRWISE, 2, 1)
    with django_assert_max_num_queries(12):
        job = request_freeze(project=cast.project, created_by=cast.rosa)
    assert not Preference.objects.exists()
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, "would be empty" in job.error) == ("failed", True)
    assert Preference.objects.exists()


def test_withdrawn_equal_and_excluded_stay_out(cast: Cast) -> None:
    decide_both_sides(cast.project)
    item = judged(cast.project, Kind.PAIRWISE, 2, 1)
    response = item.responses.first()
    assert response is not None
    response.withdrawn_at = timezone.now()
    response.save()
    make_item(cast.project, origin=Item.Origin.IDENTICAL, overlap=0)
    snapshot = freeze(project=cast.project, created_by=None).snapshot
    assert snapshot.manifest["left_out"] == {"identical": 1, "withdrawn": 1}


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_changed_files_are_refused(cast: Cast, damage: str) -> None:
    decide_both_sides(cast.project)
    snapshot = freeze(project=cast.project, created_by=None).snapshot
    path: Path = folder_of(snapshot) / "train.jsonl"
    text = path.read_bytes()
    path.unlink()
    if damage == "changed":
        path.write_bytes(text.replace(b'"strength":1.5', b'"strength":2.5'))
    with pytest.raises(SnapshotDamaged):
        list(read_records(snapshot, "held_out"))


def test_by_job(cast: Cast) -> None:
    decide_both_sides(cast.project)
    job = request_freeze(project=cast.project, created_by=cast.rosa, note="by job")
    jobs.run(job.pk)
    job.refresh_from_db()
    snapshot = Snapshot.objects.get()
    assert (job.state, job.result) == ("succeeded", {"snapshot": snapshot.pk, "is_new": True})
    assert (snapshot.created_by, snapshot.note) == (cast.rosa, "by job")


def test_criteria_are_frozen_apart(cast: Cast) -> None:
    decide_both_sides(cast.project)
    item = make_item(cast.project)
    for name in "ab":
        vote(item, name, 2, criterion="harmless")
    snapshot = freeze(project=cast.project, created_by=None).snapshot
    criteria = {record["criterion"] for record in read_records(snapshot)}
    assert criteria == {"overall", "harmless"}


def test_a_stranger_to_a_project_freezes_nothing_of_another(cast: Cast) -> None:
    from tests.cast import make_project

    decide_both_sides(make_project(name="Other"))
    with pytest.raises(PrefloopError):
        freeze(project=cast.project, created_by=None)
