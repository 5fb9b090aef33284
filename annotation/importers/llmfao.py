"""LLMFAO: crowd votes of 124 workers on pairs of models, and the verdicts of two judges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from annotation.answers import AnswerValue
from annotation.importers import values
from annotation.importers.reading import csv_rows, file_in, json_lines
from annotation.importers.rows import (
    MAIN_CRITERION,
    Format,
    GivenJudgment,
    GivenResponse,
    Meter,
    Problem,
    Row,
    Rows,
    Who,
    guarded,
)
from annotation.messages import checked_prompt, checked_response
from annotation.models import Kind
from core.errors import PrefloopError

NAME = "llmfao"
PAIRS, VOTES, MODELS = "pairs-crowd.jsonl", "crowd-comparisons.csv", "models.jsonl"
# As the set names who made each model.
MAKER = "OpenAI"
JUDGES = {
    "gpt4-crowd-comparisons.csv": Who(NAME, "GPT-4 (llmfao)", is_judge=True, family=MAKER),
    "gpt3-crowd-comparisons.csv": Who(NAME, "GPT-3.5 (llmfao)", is_judge=True, family=MAKER),
}
WINNER = {"left": values.win(0), "right": values.win(1), "tie": values.win(None)}

Vote = tuple[int, int, int, Who, str]


def read(path: Path, label: str, meter: Meter) -> Rows:
    """A pair is known by its id; votes must name the same prompt and models as the pair does."""
    models = _models(file_in(path, MODELS, NAME))
    votes = _votes(path)
    for line in json_lines(file_in(path, PAIRS, NAME), meter):
        if isinstance(line, Problem):
            yield line
            continue
        number, record = line
        mine = votes.pop(str(record.get("id")), [])
        yield guarded(number, partial(_row, number, record, models, mine))
    for pair in votes:
        yield Problem(0, "id", f"there are votes on pair {pair}, which {PAIRS} does not have")


def _models(path: Path) -> dict[int, dict[str, Any]]:
    found = {}
    for line in json_lines(path, Meter()):
        if isinstance(line, Problem):
            raise PrefloopError(f"{path.name}, {line}")
        number, record = line
        if not isinstance(record.get("id"), int) or "name" not in record:
            raise PrefloopError(f"{path.name}, row {number}: a model has an id and a name.")
        found[record["id"]] = record
    return found


def _votes(folder: Path) -> dict[str, list[Vote]]:
    """All votes by pair. The file of pairs has the same ids as those of votes."""
    votes: dict[str, list[Vote]] = defaultdict(list)
    names: list[tuple[str, Who | None]] = [(VOTES, None), *JUDGES.items()]
    for name, judge in names:
        for number, row in csv_rows(file_in(folder, name, NAME)):
            try:
                who = judge or Who(NAME, values.name(row["worker"], "worker", longest=200))
                about = int(row["prompt"]), int(row["model_x"]), int(row["model_y"])
                votes[row["id"]].append((*about, who, row["winner"]))
            except (KeyError, TypeError, ValueError, PrefloopError) as error:
                raise PrefloopError(f"{name}, line {number} is not a vote ({error}).") from None
    return votes


def _row(
    number: int, record: dict[str, Any], models: Mapping[int, Mapping[str, Any]], votes: list[Vote]
) -> Row:
    about = (record["prompt"], record["model_x"], record["model_y"])
    for prompt, model_x, model_y, who, _ in votes:
        if (prompt, model_x, model_y) != about:
            raise PrefloopError(
                f"{who.external_id} voted on another pair under this id", field="id"
            )
    return Row(
        number=number,
        prompt=checked_prompt(record["text"], "text"),
        responses=tuple(_response(record, side, models) for side in "xy"),
        kind=Kind.PAIRWISE.value,
        prompt_id=values.name(f"{NAME}:{record['slug']}", "slug", longest=200),
        external_id=values.name(f"{NAME}:{record['id']}", "id", longest=200),
        tags=values.tags({"type": record["type"], "slug": record["slug"]}),
        judgments=tuple(
            GivenJudgment(who=who, answers={MAIN_CRITERION: _answer(winner)})
            for *_, who, winner in votes
        ),
    )


def _response(
    record: dict[str, Any], side: str, models: Mapping[int, Mapping[str, Any]]
) -> GivenResponse:
    model = models.get(record[f"model_{side}"])
    if model is None:
        raise PrefloopError(f"is not in {MODELS}", field=f"model_{side}")
    return GivenResponse(
        generator=values.name(model["name"], "name"),
        family=values.name(model.get("org"), "org", longest=100, default=""),
        messages=checked_response(record[f"result_{side}"], f"result_{side}"),
    )


def _answer(winner: str) -> AnswerValue:
    if winner not in WINNER:
        raise PrefloopError(f"{winner!r} is none of left, right, tie", field="winner")
    return WINNER[winner]


FORMAT = Format(
    name=NAME,
    title="LLMFAO",
    about="8,931 votes of 124 workers on 2,139 pairs, and the verdicts of GPT-4 and GPT-3.5.",
    read=read,
    files=(PAIRS, VOTES, MODELS, *JUDGES),
    needed=(PAIRS, VOTES, MODELS, *JUDGES),
    kinds=(Kind.PAIRWISE.value,),
    label=NAME,
)
