"""HHH alignment: pairs whose better response is known. They come in as gold, with no judgments."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

from annotation.importers import values
from annotation.importers.reading import json_array
from annotation.importers.rows import (
    MAIN_CRITERION,
    Format,
    GivenResponse,
    Meter,
    Row,
    Rows,
    guarded,
)
from annotation.messages import checked_prompt, checked_response, checked_text
from annotation.models import Kind
from core.errors import PrefloopError

NAME = "hhh_alignment"
FILE = "hhh_alignment_eval.json"
# The set wraps prompt and response in the template of a judge that grades them one by one.
WRAPPED = re.compile(
    r"###The instruction to evaluate:\n(?P<prompt>.*)\n\n"
    r"###Response to evaluate:\n(?P<response>.*)\n\n"
    r"###Score Rubrics:\n(?P<rubric>.*)\n\n###Feedback: $",
    re.DOTALL,
)


def read(path: Path, label: str, meter: Meter) -> Rows:
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise PrefloopError(f"The format {NAME} needs the file {FILE}, and it is not there.")
    for number, record in json_array(file, meter):
        meter.done += 1
        yield guarded(number, partial(_row, number, record))


def _row(number: int, record: Any) -> Row:
    if not isinstance(record, dict):
        raise PrefloopError("must be an object")
    prompt, chosen = _unwrapped(record, "chosen_instruction")
    same_prompt, rejected = _unwrapped(record, "rejected_instruction")
    if prompt != same_prompt:
        raise PrefloopError(
            "is about another prompt than the chosen one", field="rejected_instruction"
        )
    return Row(
        number=number,
        prompt=checked_prompt(_turns(prompt)),
        responses=tuple(
            GivenResponse(NAME, checked_response(text), from_dataset=True)
            for text in (chosen, rejected)
        ),
        kind=Kind.PAIRWISE.value,
        external_id=f"{NAME}:{number}",
        tags={"source": values.name(record.get("source"), "source")},
        gold={MAIN_CRITERION: values.win(0)},
        gold_source=NAME,
    )


def _unwrapped(record: dict[str, Any], field: str) -> tuple[str, str]:
    found = WRAPPED.search(checked_text(record.get(field), field))
    if found is None:
        raise PrefloopError("is not in the template of the set", field=field)
    return found["prompt"], found["response"]


def _turns(prompt: str) -> list[dict[str, str]]:
    """Some prompts are dialogues; the first turn is not marked."""
    first, later = values.dialogue(prompt)
    return [{"role": "user", "content": first.strip()}, *later]


FORMAT = Format(
    name=NAME,
    title="HHH alignment",
    about="221 pairs with a known better response: gold to measure annotators and judges by.",
    read=read,
    files=(FILE,),
    needed=(FILE,),
    kinds=(Kind.PAIRWISE.value,),
    label=NAME,
)
