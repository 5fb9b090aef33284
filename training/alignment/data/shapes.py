"""The shapes in which others write such data, each known by its fields, and made into our own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from training.alignment.data.messages import (
    Messages,
    divided,
    divided_pair,
    is_transcript,
    messages,
    transcript,
    with_system,
)
from training.alignment.data.rows import DataError, FieldError, Kind

Values = Mapping[str, Any]


class Shape(NamedTuple):
    """A name for reports, the kind of row it makes, and how its fields become ours.

    `is_talk` says that the row holds one talk of which nobody said where the prompt ends.
    """

    name: str
    kind: Kind
    convert: Callable[[Values], Values]
    is_talk: bool = False


def shape_of(values: Values) -> Shape:
    """The shape of a row whose null fields were left out.

    Raises DataError naming the fields to add or to take away where it is unclear.
    """
    used = {name for name in values if name not in _ALSO_FACTS or _is_ranked(values, name)}
    found = [(family, names & used) for family, names in _FAMILIES.items() if names & used]
    if len(found) > 1:
        told = " and ".join(f"{family} ({_listed(names)})" for family, names in found)
        raise DataError(f"has fields of {told}; leave out those that do not belong")
    if found:
        return _DETECTORS[found[0][0]](values)
    return _single(values)


_FAMILIES: dict[str, frozenset[str]] = {
    "pairs": frozenset({"chosen", "rejected", "preferred_output", "non_preferred_output"}),
    "lists": frozenset({"completions", "answers", "responses"}),
    "answers": frozenset({"completion"}),
}

# Lists of answers where something ranks them; of a prompt, what a verifier compares with.
_ALSO_FACTS = frozenset({"answers", "responses"})


def _is_ranked(values: Values, name: str) -> bool:
    items = values[name]
    is_judged = isinstance(items, list) and bool(items) and all(map(_is_judged, items))
    return is_judged or "ranks" in values or "scores" in values


def _pairs(values: Values) -> Shape:
    if "preferred_output" in values or "non_preferred_output" in values:
        _need(values, "OpenAI preferences", "input", "preferred_output", "non_preferred_output")
        return Shape("OpenAI preferences", "pairs", _openai_pair)
    _need(values, "pairs", "chosen", "rejected")
    if "prompt" in values:
        return Shape("pairs", "pairs", _pair)
    if "conversations" in values:
        return Shape("ShareGPT preferences", "pairs", _sharegpt_pair)
    if "instruction" in values:
        return Shape("Alpaca preferences", "pairs", _alpaca_pair)
    if is_transcript(values["chosen"]) and is_transcript(values["rejected"]):
        return Shape("pairs of HH transcripts", "pairs", _transcript_pair)
    if isinstance(values["chosen"], str):
        raise DataError(
            "has chosen and rejected as plain texts and no prompt, and where the prompt ends "
            "cannot be told: add the field 'prompt'"
        )
    return Shape("pairs with the prompt inside", "pairs", _implicit_pair)


def _lists(values: Values) -> Shape:
    named = [name for name in ("completions", "answers", "responses") if name in values]
    field = next((name for name in named if _is_ranked(values, name)), named[0])
    prompt = next((name for name in ("prompt", "instruction", "question") if name in values), None)
    if prompt is None:
        raise DataError(f"has {field} but no prompt: add the field 'prompt'")
    items = values[field]
    if not isinstance(items, Sequence) or not all(_is_judged(item) for item in items):
        if "ranks" not in values and "scores" not in values:
            raise DataError(f"has {field} that nothing ranks: add the field 'ranks' or 'scores'")
        return Shape(
            "lists",
            "lists",
            lambda row: {
                **_without(row, prompt, field),
                "prompt": row[prompt],
                "completions": row[field],
            },
        )
    return Shape("lists of judged answers", "lists", lambda row: _judged(row, field, prompt))


def _answers(values: Values) -> Shape:
    _need(values, "answers", "prompt", "completion")
    if "label" in values:
        return Shape("binary", "binary", _plain)
    return Shape("demonstrations", "demonstrations", _plain)


_DETECTORS: dict[str, Callable[[Values], Shape]] = {
    "pairs": _pairs,
    "lists": _lists,
    "answers": _answers,
}


def _single(values: Values) -> Shape:
    """Rows of one talk, or of a prompt alone."""
    for field, name in (("messages", "messages"), ("conversations", "ShareGPT")):
        if field in values:
            return _talk(values, field, name)
    if "instruction" in values and "output" in values:
        return Shape("Alpaca", "demonstrations", _alpaca, is_talk=True)
    if "prompt" in values:
        return Shape("prompts", "prompts", _plain)
    if "instruction" in values:
        return Shape(
            "Alpaca prompts",
            "prompts",
            lambda row: {**_without(row, *_ALPACA), "prompt": _asked(row)},
        )
    known = (
        "prompt, chosen, rejected, completions, completion, messages, conversations, instruction"
    )
    raise DataError(f"has none of the fields {known}; it has {_listed(values)}")


def _talk(values: Values, field: str, name: str) -> Shape:
    found = messages(values[field], field)
    if "label" in values:
        return Shape(f"{name} with a label", "binary", lambda row: _divided(row, field))
    if found[-1]["role"] == "assistant":
        return Shape(name, "demonstrations", lambda row: _divided(row, field), is_talk=True)
    return Shape(
        f"{name} without an answer",
        "prompts",
        lambda row: {**_without(row, field), "prompt": messages(row[field], field)},
    )


def _plain(row: Values) -> Values:
    """Our own fields, with the prompt's turns taken out of an answer that repeats them."""
    if "completion" not in row or isinstance(row["completion"], str):
        return row
    talk = messages(row["completion"], "completion")
    prompt, rest = _shared_prompt(row["prompt"], talk)
    return {**row, "prompt": prompt, "completion": rest}


def _pair(row: Values) -> Values:
    """A prompt's turns that both sides repeat, and turns that they share, belong to the prompt.

    In an average over a completion's tokens they would be counted as the model's own words.
    """
    if isinstance(row["chosen"], str) or isinstance(row["rejected"], str):
        return row
    chosen, rejected = (messages(row[name], name) for name in ("chosen", "rejected"))
    prompt, chosen = _shared_prompt(row["prompt"], chosen)
    other, rejected = _shared_prompt(row["prompt"], rejected)
    if isinstance(prompt, str) or other != prompt:
        return {**row, "prompt": prompt, "chosen": chosen, "rejected": rejected}
    if chosen[0] == rejected[0] and min(len(chosen), len(rejected)) > 1:
        shared, chosen, rejected = divided_pair(chosen, rejected)
        prompt = [*prompt, *shared]
    return {**row, "prompt": prompt, "chosen": chosen, "rejected": rejected}


def _shared_prompt(prompt: Any, talk: Messages) -> tuple[Any, Messages]:
    """The prompt as messages and what of the talk follows it, where the talk repeats the prompt."""
    if isinstance(prompt, str):
        own = next((place for place, one in enumerate(talk) if one["role"] == "assistant"), 0)
        if own and talk[own - 1]["content"].strip() == prompt.strip():
            return talk[:own], talk[own:]
        return prompt, talk
    asked = messages(prompt, "prompt")
    if talk[: len(asked)] == asked and len(talk) > len(asked):
        return asked, talk[len(asked) :]
    return asked, talk


def _implicit_pair(row: Values) -> Values:
    talks = (messages(row[name], name) for name in ("chosen", "rejected"))
    return _with_pair(row, *divided_pair(*talks))


def _transcript_pair(row: Values) -> Values:
    talks = (transcript(row[name], name) for name in ("chosen", "rejected"))
    return _with_pair(row, *divided_pair(*talks))


def _sharegpt_pair(row: Values) -> Values:
    prompt = messages(row["conversations"], "conversations")
    sides = (_answer(row[name], name) for name in ("chosen", "rejected"))
    return _with_pair(_without(row, "conversations"), prompt, *sides)


def _openai_pair(row: Values) -> Values:
    asked = row["input"] if isinstance(row["input"], Mapping) else {}
    names = ("preferred_output", "non_preferred_output")
    sides = (_answer(row[name], name) for name in names)
    kept = _without(row, "input", *names)
    if asked.get("tools"):
        kept["tools"] = asked["tools"]
    return _with_pair(kept, messages(asked.get("messages"), "input.messages"), *sides)


def _alpaca_pair(row: Values) -> Values:
    sides = (_answer(row[name], name) for name in ("chosen", "rejected"))
    return _with_pair(_without(row, *_ALPACA), _asked(row), *sides)


def _with_pair(row: Values, prompt: Messages, chosen: Messages, rejected: Messages) -> Values:
    return {**row, "prompt": prompt, "chosen": chosen, "rejected": rejected}


def _alpaca(row: Values) -> Values:
    kept = _without(row, *_ALPACA, "output")
    return {**kept, "prompt": _asked(row), "completion": _answer(row["output"], "output")}


_ALPACA = ("instruction", "input", "history")


def _asked(row: Values) -> Messages:
    """The instruction and its input as one turn of the user, after the history if there is one."""
    text, extra = row["instruction"], row.get("input") or ""
    if not isinstance(text, str) or not isinstance(extra, str):
        raise FieldError("instruction", "must be a text, and so must 'input'")
    whole = f"{text}\n\n{extra}" if extra else text
    return [*_history(row), {"role": "user", "content": whole}]


def _history(row: Values) -> Messages:
    """Alpaca's earlier turns: a list of questions, each with its answer."""
    earlier: Messages = []
    for place, turn in enumerate(row.get("history") or ()):
        if not isinstance(turn, Sequence) or isinstance(turn, str) or len(turn) != 2:
            raise FieldError(f"history[{place}]", "must be a question and its answer")
        question, answer = turn
        earlier += [{"role": "user", "content": question}, *_answer(answer, "history")]
    return earlier


def _answer(value: Any, field: str) -> Messages:
    """One turn of the assistant: a text, a message or messages."""
    if isinstance(value, str):
        return [{"role": "assistant", "content": value}]
    return messages(
        [value] if isinstance(value, Mapping) and not _is_columns(value) else value, field
    )


def _is_columns(value: Mapping[str, Any]) -> bool:
    return not any(isinstance(part, str) for part in value.values())


def _divided(row: Values, field: str) -> Values:
    talk = with_system(messages(row[field], field), row.get("system"))
    prompt, completion = divided(talk, field)
    return {**_without(row, field, "system"), "prompt": prompt, "completion": completion}


_ANSWER = ("response", "answer", "text", "content", "completion", "output", "generated_text")
_SCORE = ("overall_score", "score", "rating", "reward")


def _is_judged(item: Any) -> bool:
    return isinstance(item, Mapping) and any(name in item for name in (*_SCORE, "rank"))


def _judged(row: Values, field: str, prompt: str) -> Values:
    """Answers that carry their own score or rank, as in UltraFeedback and Nectar."""
    asked, texts = row[prompt], [_first(item, _ANSWER, field) for item in row[field]]
    own = _ALPACA if prompt == "instruction" else (prompt,)
    kept = {**_without(row, field, *own), "prompt": asked, "completions": texts}
    if prompt == "instruction" or is_transcript(asked):
        kept["prompt"] = _opened(asked) if is_transcript(asked) else _asked(row)
        kept["completions"] = [_answer(text, field) for text in texts]
    if all("rank" in item for item in row[field]):
        return {**kept, "ranks": [_whole(item["rank"]) for item in row[field]]}
    return {**kept, "scores": [_first(item, _SCORE, field) for item in row[field]]}


def _opened(asked: str) -> Messages:
    """A transcript that ends where the assistant is to speak."""
    talk = transcript(asked, "prompt")
    return talk[:-1] if talk[-1] == {"role": "assistant", "content": ""} else talk


def _whole(rank: Any) -> Any:
    return int(rank) if isinstance(rank, float) and rank.is_integer() else rank


def _first(item: Mapping[str, Any], names: Sequence[str], field: str) -> Any:
    for name in names:
        if item.get(name) is not None:
            return item[name]
    raise FieldError(field, f"has an entry with none of {', '.join(names)}")


def _need(values: Values, shape: str, *names: str) -> None:
    missing = [name for name in names if name not in values]
    if missing:
        raise DataError(f"looks like {shape}, but lacks a field: add the field '{missing[0]}'")


def _without(row: Values, *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
