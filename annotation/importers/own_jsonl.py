"""Prefloop's own JSONL; docs/import.md describes it field by field."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from annotation.answers import AnswerValue
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
from annotation.messages import checked_prompt, checked_response, checked_text
from annotation.models import Kind
from core.errors import PrefloopError

ROW_KEYS = (
    "prompt",
    "responses",
    "kind",
    "external_id",
    "prompt_id",
    "tags",
    "judgments",
    "gold",
    "source",
)
RESPONSE_KEYS = ("generator", "family", "text", "messages")
VALUE_KEYS = ("winner", "strength", "both_bad", "ranks", "acceptable_to", "thumb")
JUDGMENT_KEYS = ("annotator", "judge", "family", "criterion", *VALUE_KEYS, "comment", "reasons")
GOLD_KEYS = ("criterion", *VALUE_KEYS)
KIND_OF_SIZE = {1: Kind.THUMBS.value, 2: Kind.PAIRWISE.value}


def read(path: Path, label: str, meter: Meter) -> Rows:
    for line in json_lines(path, meter):
        if isinstance(line, Problem):
            yield line
            continue
        number, record = line
        yield guarded(number, partial(_row, number, record, label))


def _row(number: int, record: dict[str, Any], label: str) -> Row:
    values.refuse_unknown(record, ROW_KEYS)
    responses = tuple(
        _response(one, f"responses[{i}]") for i, one in enumerate(_list(record, "responses"))
    )
    kind = _kind(record, len(responses))
    source = f"import:{values.name(record.get('source'), 'source', longest=80, default=label)}"
    gold = record.get("gold") or []
    return Row(
        number=number,
        prompt=checked_prompt(record.get("prompt")),
        responses=responses,
        kind=kind,
        prompt_id=values.name(record.get("prompt_id"), "prompt_id", longest=200, default=""),
        external_id=values.name(record.get("external_id"), "external_id", longest=200, default=""),
        tags=values.tags(record.get("tags")),
        judgments=_judgments(_list(record, "judgments"), kind, source),
        gold=dict(
            _gold(one, kind, f"gold[{i}]")
            for i, one in enumerate(gold if isinstance(gold, list) else [gold])
        ),
        gold_source=source,
    )


def _list(record: dict[str, Any], key: str) -> list[Any]:
    value = record.get(key, [])
    if not isinstance(value, list):
        raise PrefloopError("must be a list", field=key)
    return value


def _kind(record: dict[str, Any], size: int) -> str | None:
    if "kind" not in record:
        return KIND_OF_SIZE.get(size, Kind.LISTWISE.value) if size else None
    kind = record["kind"]
    if kind is None:
        return None
    if kind not in Kind.values:
        raise PrefloopError(f"must be one of {', '.join(Kind.values)}, or null", field="kind")
    return str(kind)


def _response(record: Any, field: str) -> GivenResponse:
    if not isinstance(record, dict):
        raise PrefloopError('must be {"generator": …, "text": …}', field=field)
    values.refuse_unknown(record, RESPONSE_KEYS, field)
    if ("text" in record) == ("messages" in record):
        raise PrefloopError('must have either "text" or "messages"', field=field)
    given = "text" if "text" in record else "messages"
    if given == "text":
        checked_text(record["text"], f"{field}.text")
    return GivenResponse(
        generator=values.name(record.get("generator"), f"{field}.generator"),
        family=values.name(record.get("family"), f"{field}.family", longest=100, default=""),
        messages=checked_response(record[given], f"{field}.{given}"),
    )


def _judgments(records: list[Any], kind: str | None, source: str) -> tuple[GivenJudgment, ...]:
    """Entries of one annotator about several criteria are one judgment."""
    found: dict[Who, GivenJudgment] = {}
    for i, record in enumerate(records):
        field = f"judgments[{i}]"
        one = _judgment(record, kind, source, field)
        before = found.get(one.who)
        if before is not None and set(before.answers) & set(one.answers):
            raise PrefloopError(
                "this annotator has answered for this criterion before", field=field
            )
        found[one.who] = one if before is None else _merged(before, one)
    return tuple(found.values())


def _merged(first: GivenJudgment, second: GivenJudgment) -> GivenJudgment:
    return GivenJudgment(
        who=first.who,
        answers={**first.answers, **second.answers},
        comment="\n".join(filter(None, [first.comment, second.comment])),
        reasons=tuple(dict.fromkeys((*first.reasons, *second.reasons))),
    )


def _judgment(record: Any, kind: str | None, source: str, field: str) -> GivenJudgment:
    if not isinstance(record, dict):
        raise PrefloopError('must be {"annotator": …, …}', field=field)
    values.refuse_unknown(record, JUDGMENT_KEYS, field)
    criterion = values.name(
        record.get("criterion"), f"{field}.criterion", longest=40, default=MAIN_CRITERION
    )
    comment = checked_text(record.get("comment", ""), f"{field}.comment", longest=10_000)
    reasons = record.get("reasons", [])
    if not isinstance(reasons, list) or len(reasons) > 20:
        raise PrefloopError("must be a list of at most 20 words", field=f"{field}.reasons")
    return GivenJudgment(
        who=_who(record, source, field),
        answers={criterion: _value(record, kind, field)},
        comment=comment.strip(),
        reasons=tuple(values.name(one, f"{field}.reasons", longest=60) for one in reasons),
    )


def _who(record: dict[str, Any], source: str, field: str) -> Who:
    if ("annotator" in record) == ("judge" in record):
        raise PrefloopError('must have either "annotator" or "judge"', field=field)
    if "judge" in record:
        judge = values.name(record["judge"], f"{field}.judge", longest=100)
        family = values.name(record.get("family"), f"{field}.family", longest=100, default="")
        return Who(source, judge, is_judge=True, family=family)
    return Who(source, values.name(record["annotator"], f"{field}.annotator", longest=200))


def _gold(record: Any, kind: str | None, field: str) -> tuple[str, AnswerValue]:
    if not isinstance(record, dict):
        raise PrefloopError("must be an object", field=field)
    values.refuse_unknown(record, GOLD_KEYS, field)
    criterion = values.name(
        record.get("criterion"), f"{field}.criterion", longest=40, default=MAIN_CRITERION
    )
    return criterion, _value(record, kind, field)


def _value(record: dict[str, Any], kind: str | None, field: str) -> AnswerValue:
    """In the order in which the row lists its responses."""
    if kind is None:
        raise PrefloopError("a row without responses cannot be judged", field=field)
    if kind == Kind.PAIRWISE:
        return _pairwise(record, field)
    if kind == Kind.LISTWISE:
        ranks = record.get("ranks")
        if not isinstance(ranks, list) or not all(_is_whole(rank) for rank in ranks):
            raise PrefloopError("must be a list of ranks, 1 = best", field=f"{field}.ranks")
        line = record.get("acceptable_to")
        if line is not None and not _is_whole(line):
            raise PrefloopError("must be a rank, or 0", field=f"{field}.acceptable_to")
        return AnswerValue(ranks=tuple(ranks), acceptable_to=line)
    thumb = record.get("thumb")
    if isinstance(thumb, bool):
        thumb = int(thumb)
    if not _is_whole(thumb):
        raise PrefloopError("must be 1 (good) or 0 (bad)", field=f"{field}.thumb")
    return AnswerValue(thumb=thumb)


def _pairwise(record: dict[str, Any], field: str) -> AnswerValue:
    if ("winner" in record) == ("strength" in record):
        raise PrefloopError('must have either "winner" or "strength"', field=field)
    both_bad = record.get("both_bad", False)
    if not isinstance(both_bad, bool):
        raise PrefloopError("must be true or false", field=f"{field}.both_bad")
    if "strength" in record:
        if not _is_whole(record["strength"]):
            raise PrefloopError("must be a whole number, -3 to 3", field=f"{field}.strength")
        return AnswerValue(strength=record["strength"], both_bad=both_bad)
    winner = record["winner"]
    if winner == "tie":
        return AnswerValue(strength=0, both_bad=both_bad)
    if not _is_whole(winner) or winner not in (0, 1):
        raise PrefloopError('must be 0 (first), 1 (second) or "tie"', field=f"{field}.winner")
    return AnswerValue(strength=values.win(winner).strength, both_bad=both_bad)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


FORMAT = Format(
    name="jsonl",
    title="Prefloop JSONL",
    about="One prompt a line, with its responses and, if there are any, judgments of all kinds.",
    read=read,
)
