"""What a training run reads, as the training library itself reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from annotation.models import (
    Assignment,
    Kind,
    Project,
    Prompt,
    Response,
    Rewrite,
    Side,
)
from annotation.services.rewrite_response import rewrite_response
from core.errors import PrefloopError
from feedback.models import Snapshot
from feedback.selectors.snapshot import records, usable_ids
from feedback.services import training_data_available, write_training_files
from feedback.services.freeze_snapshot import freeze
from feedback.services.resolve_items import resolve_items
from feedback.services.weigh_annotator import weigh_annotator
from tests.cast import Cast, make_item
from tests.feedback.votes import judged, revise, vote, worker
from training.alignment.data import read_rows


@pytest.fixture
def snapshot(cast: Cast) -> Snapshot:
    for side in (Side.TRAIN, Side.HELD_OUT):
        judged(cast.project, Kind.PAIRWISE, 2, 1, -1, side=side)
        judged(cast.project, Kind.PAIRWISE, 0, 0, side=side)
        judged(cast.project, Kind.LISTWISE, [2, 1, 3], [2, 1, 3], side=side)
        judged(cast.project, Kind.LISTWISE, [1, 1, 2], [1, 1, 2], side=side)
        judged(cast.project, Kind.THUMBS, 1, 1, side=side)
        judged(cast.project, Kind.THUMBS, 0, 0, side=side)
        rewrite(cast.project, side)
    bad = make_item(cast.project)
    for name in "ab":
        vote(bad, name, 0, both_bad=True)
    return freeze(project=cast.project, created_by=None).snapshot


def rewrite(project: Project, side: str) -> None:
    """Writes a better response than the one that was found bad."""
    assignments = Assignment.objects.filter(
        item__kind=Kind.THUMBS, item__prompt__side=side, current__answers__thumb=0
    )
    for place, assignment in enumerate(assignments.order_by("pk")):
        assert assignment.current is not None
        rewrite_response(judgment=assignment.current, text=f"Better {place}.")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_pairs(snapshot: Snapshot, tmp_path: Path) -> None:
    files = write_training_files(
        snapshot=snapshot, data="pairs", criterion="overall", folder=tmp_path / "data"
    )
    rows = lines(files.train)
    assert files.rows == {"train": 6, "held_out": 6}
    assert rows[0]["probability"] == pytest.approx(2.5 / 4)
    assert rows[0]["chosen"][0]["role"] == "assistant"
    assert [row.get("group") == row["id"].rpartition(":")[0] for row in rows[1:]] == [True] * 5
    read = read_rows(files.train, "pairs")
    assert [round(row.weight, 3) for row in read] == [1, 0.333, 0.333, 0.333, 0.5, 0.5]
    assert files.prompts == {"train": 3, "held_out": 3}


def test_ties_only_when_asked(snapshot: Snapshot, tmp_path: Path) -> None:
    files = write_training_files(
        snapshot=snapshot, data="pairs", criterion="overall", folder=tmp_path, ties=True
    )
    assert files.rows == {"train": 9, "held_out": 8}
    even = [row for row in lines(files.train) if row["probability"] == 0.5]
    assert len(even) == 3
    assert len(read_rows(files.train, "pairs")) == 9


def test_binary_is_of_thumbs(snapshot: Snapshot, tmp_path: Path) -> None:
    files = write_training_files(
        snapshot=snapshot, data="binary", criterion="overall", folder=tmp_path
    )
    assert [row["label"] for row in lines(files.train)] == [True, False]
    assert [row.target for row in read_rows(files.train, "binary")] == [1.0, 0.0]


def test_binary_from_pairs_only_when_asked(snapshot: Snapshot, tmp_path: Path) -> None:
    files = write_training_files(
        snapshot=snapshot, data="binary", criterion="overall", folder=tmp_path,
        binary_from_pairs=True,
    )  # fmt: skip
    rows = lines(files.train)
    assert [(row["source"], row["label"]) for row in rows] == [
        ("pairwise", True), ("pairwise", False), ("thumbs", True), ("thumbs", False),
        ("pairwise", False), ("pairwise", False),
    ]  # fmt: skip
    assert len(read_rows(files.train, "binary")) == 6


def test_lists(snapshot: Snapshot, tmp_path: Path) -> None:
    files = write_training_files(
        snapshot=snapshot, data="lists", criterion="overall", folder=tmp_path
    )
    assert [row["ranks"] for row in lines(files.train)] == [[2, 1, 3], [1, 1, 2]]
    assert len(read_rows(files.train, "pairs")) == 6


def test_a_rewrite_is_a_demonstration_on_its_prompts_side(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    files = write_training_files(
        snapshot=snapshot, data="demonstrations", criterion="overall", folder=tmp_path
    )
    assert files.rows == {"train": 2, "held_out": 2}
    for path, side in ((files.train, Side.TRAIN), (files.held_out, Side.HELD_OUT)):
        rows = lines(path)
        assert [row["completion"][0]["content"] for row in rows] == ["Better 0.", "Better 1."]
        prompts = Prompt.objects.filter(pk__in=[row["prompt_id"] for row in rows])
        assert {prompt.side for prompt in prompts} == {side}
        assert len({row["generator"] for row in rows}) == 2


def test_what_was_preferred_is_a_demonstration_when_asked(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    files = write_training_files(
        snapshot=snapshot, data="demonstrations", criterion="overall", folder=tmp_path,
        demonstrations_from_preferred=True,
    )  # fmt: skip
    found = [(row["source"], row.get("weight", 1)) for row in lines(files.train)]
    assert found == [
        ("pairwise", 1), ("listwise", 1), ("listwise", 0.5), ("listwise", 0.5),
        ("thumbs", 1), ("rewrite", 1), ("rewrite", 1),
    ]  # fmt: skip
    assert len(read_rows(files.train, "demonstrations")) == 7


def test_prompts_come_once_each(snapshot: Snapshot, tmp_path: Path) -> None:
    files = write_training_files(
        snapshot=snapshot, data="prompts", criterion="overall", folder=tmp_path
    )
    rows = lines(files.train)
    assert files.rows == files.prompts
    assert (
        len({row["prompt_id"] for row in rows})
        == len(rows)
        == len(read_rows(files.train, "prompts"))
    )


def test_a_prompt_brings_its_reference_answer_as_a_fact(
    snapshot: Snapshot, cast: Cast, tmp_path: Path
) -> None:
    answered = Prompt.objects.filter(side=Side.TRAIN).earliest("pk")
    Prompt.objects.filter(pk=answered.pk).update(tags={"reference": "Paris"})
    newer = freeze(project=cast.project, created_by=None).snapshot
    files = write_training_files(
        snapshot=newer, data="prompts", criterion="overall", folder=tmp_path
    )
    found = {row.facts["prompt_id"]: row.facts for row in read_rows(files.train, "prompts")}
    assert found.pop(answered.pk) == {"prompt_id": answered.pk, "answer": "Paris"}
    assert found
    assert all("answer" not in facts for facts in found.values())


@pytest.mark.parametrize("data", ["pairs", "binary", "lists", "demonstrations", "prompts"])
def test_rows_carry_the_short_tags_of_their_prompt(
    snapshot: Snapshot, cast: Cast, tmp_path: Path, data: str
) -> None:
    tags = {"topic": "sums", "marks": ["a", 2], "reference": "42", "story": "x" * 61, "deep": {}}
    Prompt.objects.filter(side=Side.TRAIN).update(tags=tags)
    newer = freeze(project=cast.project, created_by=None).snapshot
    files = write_training_files(snapshot=newer, data=data, criterion="overall", folder=tmp_path)
    told = [sorted(row["tags"]) for row in lines(files.train)]
    assert told == [["marks: 2", "marks: a", "topic: sums"]] * files.rows["train"]
    assert all("tags" not in row for row in lines(files.held_out))
    read = read_rows(files.train, data)
    assert all(len(row.facts["tags"]) == 3 for row in read)


def test_a_pair_tells_how_strongly_it_was_preferred(snapshot: Snapshot, tmp_path: Path) -> None:
    files = write_training_files(
        snapshot=snapshot, data="pairs", criterion="overall", folder=tmp_path, ties=True
    )
    rows = lines(files.train)
    assert [row.get("strength") for row in rows if "group" not in row] == [
        1.5, 0.0, 0.0
    ]  # fmt: skip
    assert read_rows(files.train, "pairs")[0].margin == 0.5


def test_rewrites_are_chosen_sides_only_when_asked(snapshot: Snapshot, tmp_path: Path) -> None:
    files = write_training_files(
        snapshot=snapshot, data="pairs", criterion="overall", folder=tmp_path, rewrites=True
    )
    assert files.rows == {"train": 8, "held_out": 8}
    rows = [row for row in lines(files.train) if row.get("source") == "rewrite"]
    assert [row["chosen"][0]["content"] for row in rows] == ["Better 0.", "Better 1."]
    original = Response.objects.get(items__assignments__judgments__rewrite__isnull=False,
        prompt__side=Side.TRAIN, items__assignments__annotator__external_id="a")  # fmt: skip
    assert {row["rejected"][0]["content"] for row in rows} == {original.messages[0]["content"]}
    assert {
        (row["probability"], row["chosen_generator"] != row["rejected_generator"]) for row in rows
    } == {(1.0, True)}
    read = [row for row in read_rows(files.train, "pairs") if "rewrite" in row.id]
    assert [row.weight for row in read] == [0.5, 0.5]


def test_only_the_newest_answers_rewrite_counts(snapshot: Snapshot, cast: Cast) -> None:
    newer = revise(Rewrite.objects.earliest("pk").judgment.assignment, 0)
    assert not hasattr(newer, "rewrite")
    fresh = freeze(project=cast.project, created_by=None).snapshot
    counts = [
        training_data_available(snapshot=one)["demonstrations"]["overall"]["train"]
        for one in (snapshot, fresh)
    ]
    assert counts == [2, 1]
    assert fresh.content_hash != snapshot.content_hash


def test_gold_probes_and_withdrawn_texts_give_none(snapshot: Snapshot, cast: Cast) -> None:
    first, second = Rewrite.objects.filter(response__prompt__side=Side.TRAIN)
    Assignment.objects.filter(current=first.judgment).update(takes_slot=False, occasion="probe 1")
    Response.objects.filter(rewrites=second).update(withdrawn_at=timezone.now())
    decided = list(records(usable_ids(cast.project)))
    assert {record["side"] for record in decided if "rewrites" in record} == {"held_out"}


def test_who_is_left_out_teaches_nothing(cast: Cast) -> None:
    item = judged(cast.project, Kind.THUMBS, 0, 0, 0)
    for name in "ab":
        judgment = item.assignments.get(annotator=worker(name)).current
        rewrite_response(judgment=judgment, text=f"By {name}.")
    resolve_items(project=cast.project)
    weigh_annotator(
        project=cast.project, actor=cast.rosa, annotator=worker("a"), weight=0, from_version=1
    )
    resolve_items(project=cast.project)
    (record,) = records(usable_ids(cast.project))
    assert [one["messages"][0]["content"] for one in record["rewrites"]] == ["By b."]


def test_what_is_available_is_what_is_written(snapshot: Snapshot, tmp_path: Path) -> None:
    available = training_data_available(snapshot=snapshot)
    for data, criteria in available.items():
        for criterion, rows in criteria.items():
            files = write_training_files(
                snapshot=snapshot,
                data=data.partition("_from_")[0],
                criterion=criterion,
                folder=tmp_path / data,
                binary_from_pairs=data.endswith("_from_pairs"),
                demonstrations_from_preferred=data.endswith("_from_preferred"),
            )
            assert files.rows == rows


def test_an_empty_side_is_refused(snapshot: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(PrefloopError, match="no pairs data for “style” on its train and held-out"):
        write_training_files(snapshot=snapshot, data="pairs", criterion="style", folder=tmp_path)
