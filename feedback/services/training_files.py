"""What a training run reads, made from a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.canonical_json import canonical_line
from core.errors import PrefloopError
from feedback.models import Snapshot
from feedback.shapes import SHAPES, ShapeOptions
from feedback.snapshot_files import SIDES, read_records


@dataclass(frozen=True)
class TrainingFiles:
    """`rows` and `prompts` count by side."""

    train: Path
    held_out: Path
    rows: dict[str, int]
    prompts: dict[str, int]


def training_data_available(*, snapshot: Snapshot) -> dict[str, dict[str, dict[str, int]]]:
    """Rows by data kind, criterion and side: {"pairs": {"overall": {"train": 80, "held_out": 9}}}.

    `binary` counts thumbs; `binary_from_pairs` what there is when pairs are used as well, and
    `demonstrations_from_preferred` when what was preferred is. Ties are not counted;
    `demonstrations` are also the pairs that `rewrites` would add. `prompts` counts each once;
    snapshots that were frozen before prompts were counted lack it.
    """
    rows: dict[str, dict[str, dict[str, int]]] = snapshot.manifest["rows"]
    return rows


def write_training_files(
    *,
    snapshot: Snapshot,
    data: str,
    criterion: str,
    folder: Path,
    ties: bool = False,
    binary_from_pairs: bool = False,
    rewrites: bool = False,
    demonstrations_from_preferred: bool = False,
) -> TrainingFiles:
    """train.jsonl and held_out.jsonl in `folder`, in the shape that `data` names."""
    options = ShapeOptions(
        ties=ties,
        binary_from_pairs=binary_from_pairs,
        rewrites=rewrites,
        demonstrations_from_preferred=demonstrations_from_preferred,
    )
    shape = SHAPES[data]
    folder.mkdir(parents=True, exist_ok=True)
    rows = dict.fromkeys(SIDES, 0)
    prompts: dict[str, set[int]] = {side: set() for side in SIDES}
    for side in SIDES:
        with (folder / f"{side}.jsonl").open("wb") as file:
            for record in read_records(snapshot, side):
                is_asked = data == "prompts" and record["prompt_id"] in prompts[side]
                if record["criterion"] != criterion or is_asked:
                    continue
                # Older snapshots froze no tags.
                tags = {"tags": record["tags"]} if record.get("tags") else {}
                for row in shape(record, options):
                    file.write(canonical_line({**row, **tags}))
                    rows[side] += 1
                    prompts[side].add(record["prompt_id"])
    _refuse_empty(snapshot, data, criterion, rows)
    return TrainingFiles(
        train=folder / "train.jsonl",
        held_out=folder / "held_out.jsonl",
        rows=rows,
        prompts={side: len(found) for side, found in prompts.items()},
    )


def _refuse_empty(snapshot: Snapshot, data: str, criterion: str, rows: dict[str, int]) -> None:
    empty = [side.replace("_", "-") for side in SIDES if not rows[side]]
    if empty:
        raise PrefloopError(
            f"{str(snapshot).capitalize()} holds no {data} data for “{criterion}” on its "
            f"{' and '.join(empty)} side. Choose another criterion or method, or freeze again "
            "when more is decided."
        )
