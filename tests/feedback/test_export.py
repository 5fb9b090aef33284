"""Exports: all shapes in both formats, the same rows in each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from annotation.models import Assignment, Kind, Side
from annotation.services.rewrite_response import rewrite_response
from core import jobs
from core.errors import PrefloopError
from feedback.models import Export, Snapshot
from feedback.selectors.judgments import judgment_rows
from feedback.services.export import build_export, create_export, path_of, request_export
from feedback.services.freeze_snapshot import freeze
from tests.cast import Cast, make_project
from tests.feedback.judging import say
from tests.feedback.votes import judge_annotator, judged, open_gate, revise, vote
from tests.judges import make_judge
from training.alignment.data import read_rows

SHAPES = [
    "pairs", "pairs_conversational", "binary", "lists", "demonstrations", "records", "judgments",
]  # fmt: skip


@pytest.fixture
def snapshot(cast: Cast) -> Snapshot:
    for side in (Side.TRAIN, Side.HELD_OUT):
        judged(cast.project, Kind.PAIRWISE, 2, 1, side=side)
        judged(cast.project, Kind.PAIRWISE, 0, 0, side=side)
        judged(cast.project, Kind.LISTWISE, [2, 1, 3], [2, 1, 3], side=side)
        item = judged(cast.project, Kind.THUMBS, 1, 1, side=side)
        for assignment in item.assignments.order_by("pk")[:1]:
            assert assignment.current is not None
            rewrite_response(judgment=assignment.current, text="Better.")
    return freeze(project=cast.project, created_by=None).snapshot


def built(snapshot: Snapshot, shape: str, file_format: str = "jsonl", **options: Any) -> Export:
    export = create_export(
        project=snapshot.project, snapshot=snapshot, shape=shape, format=file_format,
        options=options, created_by=None,
    )  # fmt: skip
    return build_export(export=export)


def rows_of(export: Export) -> list[dict[str, Any]]:
    path = path_of(export)
    assert path is not None
    if export.format == "jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def without_nothing(value: Any) -> Any:
    """Parquet has a place for every field; JSONL leaves out those of other kinds."""
    if isinstance(value, dict):
        return {name: without_nothing(one) for name, one in value.items() if one is not None}
    return [without_nothing(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("shape", SHAPES)
def test_both_formats_hold_the_same_rows(snapshot: Snapshot, shape: str) -> None:
    lines, table = built(snapshot, shape), built(snapshot, shape, "parquet")
    assert without_nothing(rows_of(lines)) == without_nothing(rows_of(table))
    assert lines.rows == table.rows == len(rows_of(lines))
    assert lines.rows


@pytest.mark.parametrize(
    ("shape", "data", "count"),
    [("pairs", "pairs", 8), ("pairs_conversational", "pairs", 8), ("binary", "binary", 2),
     ("lists", "pairs", 6)],
)  # fmt: skip
def test_the_training_library_reads_them(
    snapshot: Snapshot, shape: str, data: str, count: int
) -> None:
    path = path_of(built(snapshot, shape))
    assert path is not None
    assert len(read_rows(path, data)) == count


def test_plain_pairs_are_texts(snapshot: Snapshot) -> None:
    row = rows_of(built(snapshot, "pairs", side="train"))[0]
    assert all(isinstance(row[name], str) for name in ("prompt", "chosen", "rejected"))
    assert (row["side"], row["criterion"], row["group"]) == ("train", "overall", None)


def test_options(snapshot: Snapshot) -> None:
    assert built(snapshot, "pairs").rows == 8
    assert built(snapshot, "pairs", side="held_out").rows == 4
    assert built(snapshot, "pairs", ties=True).rows == 10
    rewrites = built(snapshot, "pairs", rewrites=True)
    assert (rewrites.rows, "pairs-with-rewrites" in rewrites.file_name) == (10, True)
    assert {row["source"] for row in rows_of(rewrites)} == {"pairwise", "listwise", "rewrite"}
    from_pairs = built(snapshot, "binary", binary_from_pairs=True)
    assert (from_pairs.rows, "binary-from-pairs" in from_pairs.file_name) == (6, True)


@pytest.mark.parametrize("both", [True, False])
def test_a_judge_asked_in_both_orders_has_none(cast: Cast, both: bool) -> None:
    judge = make_judge(cast.project, settings={"both_orders": both})
    say(judge, judged(cast.project, Kind.PAIRWISE, 3), -1)
    (row,) = [row for row in judgment_rows(cast.project) if row["judge"]]
    shown = (None, None) if both else ([0, 1], -1)
    assert (row["shown_order"], row["strength_as_shown"]) == shown
    assert row["strength"] == -1


def test_raw_judgments(cast: Cast) -> None:
    item = judged(cast.project, Kind.PAIRWISE, 3)
    vote(item, judge_annotator(), -1, probabilities=[0.3])
    Assignment.objects.filter(item=item).update(shown_order=[1, 0])
    revise(Assignment.objects.earliest("pk"), 2)
    export = create_export(
        project=cast.project, snapshot=None, shape="judgments", format="jsonl", created_by=None
    )
    rows = rows_of(build_export(export=export))
    told = [
        (row["strength"], row["strength_as_shown"], row["revision"], row["is_counted"])
        for row in rows
    ]
    # The judge's gate is closed.
    assert told == [(3, -3, 1, False), (-1, 1, 1, False), (2, -2, 2, True)]
    assert [row["annotator_kind"] for row in rows] == ["imported", "judge", "imported"]
    assert [row["probabilities"] for row in rows] == [None, [0.3], None]
    assert rows[0]["annotator"] == rows[2]["annotator"]
    assert "tests" not in json.dumps(rows)
    assert [one["generator"] for one in rows[0]["responses"]] != []
    open_gate(cast.project, judge_annotator())
    assert [row["is_counted"] for row in judgment_rows(cast.project)] == [False, True, True]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"shape": "nonsense"}, "no shape"),
        ({"format": "csv"}, "no format"),
        ({"options": {"side": "left"}}, "side"),
        ({"options": {"ties": "yes"}}, "true or false"),
        ({"options": {"path": "/etc"}}, "Unknown options: path"),
        ({"snapshot": None}, "Choose a snapshot"),
    ],
)
def test_nonsense_is_refused(snapshot: Snapshot, fields: dict[str, Any], words: str) -> None:
    asked = {"project": snapshot.project, "snapshot": snapshot, "shape": "pairs",
             "format": "jsonl", "created_by": None}  # fmt: skip
    with pytest.raises(PrefloopError, match=words):
        create_export(**{**asked, **fields})
    assert not Export.objects.exists()


def test_another_projects_snapshot_is_refused(snapshot: Snapshot) -> None:
    other = make_project(name="Other")
    with pytest.raises(PrefloopError, match="of this project"):
        create_export(
            project=other, snapshot=snapshot, shape="pairs", format="jsonl", created_by=None
        )


def test_an_export_without_rows_says_so(snapshot: Snapshot) -> None:
    with pytest.raises(PrefloopError, match="no rows"):
        built(snapshot, "pairs", criterion="style")


def test_by_job_twice_gives_the_same_file(snapshot: Snapshot, cast: Cast) -> None:
    export = request_export(
        project=cast.project, snapshot=snapshot, shape="lists", format="jsonl",
        created_by=cast.rosa,
    )  # fmt: skip
    assert path_of(export) is None
    assert export.job is not None
    jobs.run(export.job.pk)
    export.refresh_from_db()
    before = rows_of(export)
    build_export(export=export)
    assert rows_of(export) == before
    path = path_of(export)
    assert path is not None
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_the_commands(cast: Cast, snapshot: Snapshot, tmp_path: Path, capsys: Any) -> None:
    call_command("freeze_snapshot", str(cast.project.pk))
    assert "Nothing has changed" in capsys.readouterr().out
    call_command("resolve_items", str(cast.project.pk))
    assert "accepted" in capsys.readouterr().out
    output = tmp_path / "pairs.parquet"
    call_command("export", str(cast.project.pk), shape="pairs", format="parquet", output=output)
    assert pq.read_table(output).num_rows == 8
    with pytest.raises(CommandError, match="no snapshot 9"):
        call_command("export", str(cast.project.pk), shape="pairs", snapshot=9)
