"""Chosen / rejected pairs, in the shapes that preference data sets have.

plain           {"prompt": "…", "chosen": "…", "rejected": "…"}
conversational  {"prompt": [messages], "chosen": [messages], "rejected": [messages]}
implicit        {"chosen": [messages], "rejected": [messages]}: the prompt is what both begin with
dialogue        {"chosen": "\\n\\nHuman: …\\n\\nAssistant: …", "rejected": …}

`chosen_model` and `rejected_model` name who wrote them. Other columns are passed over.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from annotation.importers import values
from annotation.importers.reading import json_lines
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
from annotation.messages import (
    Messages,
    checked_messages,
    checked_prompt,
    checked_response,
    checked_text,
    user_message,
)
from annotation.models import Kind
from core.errors import PrefloopError


def read(path: Path, label: str, meter: Meter) -> Rows:
    for line in json_lines(path, meter):
        if isinstance(line, Problem):
            yield line
            continue
        number, record = line
        yield guarded(number, partial(_row, number, record, label))


def _row(number: int, record: dict[str, Any], label: str) -> Row:
    prompt, chosen, rejected = _parts(record)
    responses = tuple(
        GivenResponse(
            generator=values.name(record.get(f"{side}_model"), f"{side}_model", default="")
            or label,
            messages=messages,
            from_dataset=not record.get(f"{side}_model"),
        )
        for side, messages in (("chosen", chosen), ("rejected", rejected))
    )
    judgment = GivenJudgment(
        who=Who(f"import:{label}", "labels"), answers={MAIN_CRITERION: values.win(0)}
    )
    identity = record.get("external_id", record.get("id"))
    return Row(
        number=number,
        prompt=prompt,
        responses=responses,
        kind=Kind.PAIRWISE.value,
        external_id=values.name(identity, "id", longest=200, default=""),
        judgments=(judgment,),
    )


def _parts(record: dict[str, Any]) -> tuple[Messages, Messages, Messages]:
    for key in ("chosen", "rejected"):
        if key not in record:
            raise PrefloopError("is missing", field=key)
    chosen, rejected = (_turns(record[key], key) for key in ("chosen", "rejected"))
    if record.get("prompt") is None:
        return _split_common(chosen, rejected)
    prompt = checked_prompt(record["prompt"])
    return prompt, _response(chosen, prompt, "chosen"), _response(rejected, prompt, "rejected")


def _turns(value: Any, field: str) -> Messages | str:
    """Messages, or a plain text; a dialogue written as one text becomes messages."""
    if not isinstance(value, str):
        return checked_messages(value, field)
    text = checked_text(value, field)
    before, turns = values.dialogue(text)
    return turns if turns and not before.strip() else text


def _split_common(
    chosen: Messages | str, rejected: Messages | str
) -> tuple[Messages, Messages, Messages]:
    if isinstance(chosen, str) or isinstance(rejected, str):
        raise PrefloopError("is missing, and the texts are not conversations", field="prompt")
    shared = 0
    for one, other in zip(chosen[:-1], rejected[:-1], strict=False):
        if one != other:
            break
        shared += 1
    while shared and chosen[shared - 1]["role"] != "user":
        shared -= 1
    if not shared:
        raise PrefloopError("is missing, and the conversations begin differently", field="prompt")
    prompt = checked_prompt(chosen[:shared])
    return (
        prompt,
        checked_response(chosen[shared:], "chosen"),
        checked_response(rejected[shared:], "rejected"),
    )


def _response(turns: Messages | str, prompt: Messages, field: str) -> Messages:
    """Some sets repeat the prompt inside the chosen and rejected conversations."""
    if isinstance(turns, str):
        return checked_response(turns, field)
    if turns[: len(prompt)] == prompt:
        turns = turns[len(prompt) :]
    elif turns[0]["role"] == "user" and prompt == user_message(turns[0]["content"].strip()):
        turns = turns[1:]
    return checked_response(turns, field)


FORMAT = Format(
    name="pairs",
    title="Chosen / rejected pairs (JSONL)",
    about="One pair a line: prompt, chosen, rejected; as plain texts or as conversations.",
    read=read,
    kinds=(Kind.PAIRWISE.value,),
)
