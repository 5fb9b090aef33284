"""SQuALITY: four workers rank three summaries on correctness, selection and overall quality."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from annotation.answers import AnswerValue
from annotation.importers import values
from annotation.importers.reading import file_in, json_lines
from annotation.importers.rows import (
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
from annotation.models import Generator, Kind
from core.errors import PrefloopError

NAME = "squality"
REVIEWS = "all-responses.jsonl"
ASPECTS = ("overall", "correctness", "selection")
CRITERIA = (
    {"key": "overall", "name": "Overall", "definition": "Which summary is better, all in all?"},
    {"key": "correctness", "name": "Correctness", "definition": "Is what it says true?"},
    {"key": "selection", "name": "Selection", "definition": "Does it tell what matters?"},
)
PERSON = "human"


def read(path: Path, label: str, meter: Meter) -> Rows:
    """Rows are questions, five to a line; they are numbered through the file."""
    number = 0
    source = path if path.is_file() else file_in(path, REVIEWS, NAME)
    for line in json_lines(source, meter):
        if isinstance(line, Problem):
            yield line
            continue
        _, record = line
        questions = record.get("questions")
        if not isinstance(questions, dict):
            yield Problem(number + 1, "questions", "must be an object")
            continue
        for place, question in questions.items():
            number += 1
            passage = str(record.get("passage-id"))
            yield guarded(number, partial(_row, number, passage, str(place), question))


def _row(number: int, passage: str, place: str, question: Any) -> Row:
    """The set has neither the stories nor the questions: the prompt names them."""
    if not isinstance(question, dict) or not all(isinstance(s, dict) for s in question.values()):
        raise PrefloopError("must hold one object a system", field=f"questions.{place}")
    systems = sorted(question)
    identity = values.name(f"{NAME}:{passage}:{place}", "passage-id", longest=200)
    text = (
        f"Story {passage} of Project Gutenberg, question {int(place) + 1} of SQuALITY: "
        "answer it with a summary of what the story tells about it."
    )
    return Row(
        number=number,
        prompt=checked_prompt(text),
        responses=tuple(_response(system, question[system]) for system in systems),
        kind=Kind.LISTWISE.value,
        prompt_id=identity,
        external_id=identity,
        tags={"passage": passage, "question": int(place)},
        judgments=_judgments([question[system]["reviews"] for system in systems]),
    )


def _response(system: str, given: dict[str, Any]) -> GivenResponse:
    return GivenResponse(
        generator=f"{NAME}: a person" if system == PERSON else values.name(system, "system"),
        family=Generator.Kind.PERSON.value if system == PERSON else "BART",
        messages=checked_response(given.get("response"), f"{system}.response"),
    )


def _judgments(reviews: list[list[dict[str, Any]]]) -> tuple[GivenJudgment, ...]:
    """A worker's judgment is what they said about each of the systems."""
    by_worker: dict[str, list[dict[str, Any]]] = {}
    for of_system in reviews:
        for review in of_system:
            by_worker.setdefault(str(review["worker_id"]), []).append(review)
    for worker, theirs in by_worker.items():
        if len(theirs) != len(reviews):
            raise PrefloopError(f"worker {worker} did not rank every summary", field="reviews")
    return tuple(
        GivenJudgment(
            who=Who(NAME, worker),
            answers={
                aspect: AnswerValue(ranks=tuple(review[f"{aspect}-rank"] for review in theirs))
                for aspect in ASPECTS
            },
        )
        for worker, theirs in by_worker.items()
    )


FORMAT = Format(
    name=NAME,
    title="SQuALITY human evaluation",
    about="100 questions, three summaries each, ranked on three criteria by three of four workers.",
    read=read,
    files=(REVIEWS,),
    needed=(REVIEWS,),
    kinds=(Kind.LISTWISE.value,),
    criteria=CRITERIA,
    label=NAME,
)
