"""PandaLM's test set: 999 pairs, three annotators each, and the verdicts of two judges."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from annotation.importers import values
from annotation.importers.reading import json_array
from annotation.importers.rows import (
    MAIN_CRITERION,
    Format,
    GivenJudgment,
    GivenResponse,
    Meter,
    Row,
    Rows,
    Who,
    guarded,
)
from annotation.messages import checked_prompt, checked_response, checked_text
from annotation.models import Kind
from core.errors import PrefloopError

NAME = "pandalm"
PAIRS = "testset-v1.json"
ANNOTATORS = ("annotator1", "annotator2", "annotator3")
# File and field of a judge. They lie beside the pairs, and what is not there is passed over.
JUDGES = {
    "gpt-3.5-turbo-testset-v1.json": (
        "gpt_result",
        Who(NAME, "GPT-3.5 turbo (pandalm)", is_judge=True, family="GPT-3.5"),
    ),
    "pandalm-7b-testset-v1.json": (
        "pandalm_result",
        Who(NAME, "PandaLM 7B (pandalm)", is_judge=True, family="LLaMA"),
    ),
}
ANSWER = {"0": values.win(None), "1": values.win(0), "2": values.win(1), "tie": values.win(None)}
# What the set writes where a judge's reply could not be understood.
NO_VERDICT = "garbage"


def read(path: Path, label: str, meter: Meter) -> Rows:
    pairs = path / PAIRS if path.is_dir() else path
    if not pairs.is_file():
        raise PrefloopError(f"The format {NAME} needs the file {PAIRS}, and it is not there.")
    verdicts = _verdicts(pairs.parent)
    for number, record in json_array(pairs, meter):
        meter.done += 1
        yield guarded(number, partial(_row, number, record, verdicts))


def _verdicts(folder: Path) -> dict[Who, dict[Any, str]]:
    found: dict[Who, dict[Any, str]] = {}
    for name, (field, who) in JUDGES.items():
        if (folder / name).is_file():
            records = [record for _, record in json_array(folder / name, Meter())]
            try:
                found[who] = {record["idx"]: str(record[field]).lower() for record in records}
            except (KeyError, TypeError) as error:
                raise PrefloopError(f"{name} does not hold a judge's verdicts ({error}).") from None
    return found


def _row(number: int, record: Any, verdicts: Mapping[Who, Mapping[Any, str]]) -> Row:
    needed = {"idx", "cmp_key", "instruction", "input", "response1", "response2", *ANNOTATORS}
    if not isinstance(record, dict) or needed - set(record):
        missing = sorted(needed - set(record if isinstance(record, dict) else ()))
        raise PrefloopError("is missing", field=missing[0])
    first, _, second = checked_text(record["cmp_key"], "cmp_key").partition("_")
    answers = {Who(NAME, column): str(record[column]) for column in ANNOTATORS}
    for who, by_id in verdicts.items():
        if by_id.get(record["idx"], NO_VERDICT) != NO_VERDICT:
            answers[who] = by_id[record["idx"]]
    return Row(
        number=number,
        prompt=checked_prompt(_prompt(record)),
        responses=(
            GivenResponse(values.name(first, "cmp_key"), _text(record, "response1")),
            GivenResponse(values.name(second, "cmp_key"), _text(record, "response2")),
        ),
        kind=Kind.PAIRWISE.value,
        external_id=values.name(f"{NAME}:{record['idx']}", "idx", longest=200),
        tags=values.tags({"application": record.get("motivation_app")}),
        judgments=tuple(_judgment(who, answer) for who, answer in answers.items()),
    )


def _prompt(record: dict[str, Any]) -> str:
    instruction = checked_text(record["instruction"], "instruction")
    given = checked_text(record["input"], "input")
    return f"{instruction}\n\n{given}" if given else instruction


def _text(record: dict[str, Any], field: str) -> list[dict[str, str]]:
    """Six responses of the set say True, and were made a truth value on the way."""
    value = record[field]
    return checked_response(str(value) if isinstance(value, bool) else value, field)


def _judgment(who: Who, answer: str) -> GivenJudgment:
    if answer not in ANSWER:
        raise PrefloopError(f"{answer!r} is none of 0, 1, 2", field=who.external_id)
    return GivenJudgment(who=who, answers={MAIN_CRITERION: ANSWER[answer]})


FORMAT = Format(
    name=NAME,
    title="PandaLM test set",
    about="999 pairs with three annotators each; judges' verdicts if their files lie beside.",
    read=read,
    files=(PAIRS, *JUDGES),
    needed=(PAIRS,),
    kinds=(Kind.PAIRWISE.value,),
    label=NAME,
)
