"""The one place that turns rows into tokens.

Prompt and completion are tokenised apart, so that the boundary never moves with the completion and
the completion's tokens are those that the model would have to write. The end-of-turn token belongs
to the completion. All completions of a row follow one and the same prompt. Truncation is counted
and never empties a completion: what would be emptied is dropped and counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.alignment.data import DataError, Row, Text
from training.alignment.data_report import DataReport, Lengths, padding_share
from training.alignment.token_ids import Encoder, Ids, end_tokens
from training.alignment.turns import Part, TokenizerFault, Turns, render_rows

__all__ = [
    "DataReport",
    "Example",
    "Limits",
    "TokenSequence",
    "Tokens",
    "cut_prompt",
    "encode_completion",
    "encode_prompt",
    "encode_prompts",
    "end_tokens",
    "tokenize_rows",
]

Tokens = NDArray[np.int32]
_ROWS_AT_A_TIME = 2048
# Parts of a completion as ids, and whether the model wrote them.
_Side = list[tuple[Ids, bool]]


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """A prompt and one completion as token ids.

    `context` [completion] is true at tokens between two turns of the model, which somebody else
    wrote: they are read and never trained. None where there are none.
    """

    prompt: Tokens
    completion: Tokens
    context: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)

    @property
    def trained_tokens(self) -> int:
        """How many tokens of the completion the model is trained on."""
        context = 0 if self.context is None else int(self.context.sum())
        return len(self.completion) - context


@dataclass(frozen=True, slots=True)
class Example:
    """One unit of training: its sequences by role, its target and its weight.

    Of a list, `ranks` has one for each role in order. An example of a prompt alone has one
    sequence under the role `prompt`, whose completion is empty. `facts` are those of its row.
    """

    id: str
    group: str
    prompt_key: str
    prompt: Text
    sequences: Mapping[str, TokenSequence]
    target: float
    weight: float
    margin: float = 0.0
    ranks: tuple[int, ...] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return max(len(sequence) for sequence in self.sequences.values())


@dataclass(frozen=True)
class Limits:
    """How long a sequence may be, in tokens, and what is done with a longer one.

    A prompt is cut at `truncation_side`. A completion is cut at its end, and then has no end
    token, or with `drop_long` its row is left out.
    """

    max_length: int
    max_prompt_length: int
    truncation_side: str = "left"
    drop_long: bool = False


@dataclass(frozen=True, slots=True)
class _Encoded:
    """One row as ids, before anything is cut."""

    row: Row
    prompt: Tokens
    completions: Mapping[str, tuple[Tokens, NDArray[np.bool_] | None]]
    is_unusual: bool
    tools_left_out: bool


def tokenize_rows(
    rows: Sequence[Row],
    tokenizer: Any,
    limits: Limits,
    report: DataReport,
    *,
    skip_bad: bool = False,
) -> list[Example]:
    """Tokenise all rows; `report` counts what was truncated, refused or dropped.

    A row is refused where the chat template refuses it, or where template or special tokens make
    the boundary between prompt and completion unclear. Raises DataError that lists refused rows
    (the first twenty by name), unless they may be left out; where the tokenizer is at fault; and
    where nothing is left.
    """
    report.rows += len(rows)
    encoder, examples = Encoder(tokenizer), []
    lengths: dict[str, list[int]] = {"prompt": [], "completion": []}
    for encoded in _encode_rows(rows, encoder, report, skip_bad=skip_bad):
        lengths["prompt"].append(len(encoded.prompt))
        lengths["completion"] += [len(ids) for ids, _ in encoded.completions.values()]
        example = _cut(encoded, encoder, limits, report)
        if example is not None:
            examples.append(example)
    report.examples += len(examples)
    _measure(examples, lengths, report)
    if not examples:
        refused = f", {report.refused} refused:\n{report.told_refused()}" if report.refused else ""
        raise DataError(
            f"no example is left of {report.rows} rows: {report.ties_dropped} ties dropped, "
            f"{report.dropped_without_room} without room for a completion, "
            f"{report.dropped_too_long} too long{refused}"
        )
    return examples


def encode_prompts(
    rows: Sequence[Row], tokenizer: Any, report: DataReport, *, skip_bad: bool = False
) -> list[tuple[Row, Tokens]]:
    """Rows with their prompts' token ids; of refused rows see `tokenize_rows`."""
    encoded = _encode_rows(rows, Encoder(tokenizer), report, skip_bad=skip_bad)
    found = [(one.row, one.prompt) for one in encoded]
    if not found:
        raise DataError(f"no prompt is left of {len(rows)} rows:\n{report.told_refused()}")
    return found


def encode_prompt(
    prompt: Text, tokenizer: Any, tools: Sequence[Mapping[str, Any]] | None = None
) -> Tokens:
    """Token ids up to where the model begins to write. Raises DataError on a doubled BOS."""
    return _encode_one(prompt, {}, tokenizer, tools).prompt


def encode_completion(
    prompt: Text,
    completion: Text,
    tokenizer: Any,
    tools: Sequence[Mapping[str, Any]] | None = None,
) -> Tokens:
    """Token ids that the model would have to write, the end-of-turn token included."""
    encoded = _encode_one(prompt, {"completion": completion}, tokenizer, tools)
    return encoded.completions["completion"][0]


def _encode_one(
    prompt: Text,
    completions: Mapping[str, Text],
    tokenizer: Any,
    tools: Sequence[Mapping[str, Any]] | None,
) -> _Encoded:
    row = Row("", "", prompt, completions, 1.0, 1.0, facts={"tools": tools} if tools else {})
    (encoded,) = _encode_all([row], Encoder(tokenizer))
    if isinstance(encoded, DataError):
        raise encoded
    return encoded


def cut_prompt(prompt: Tokens, limits: Limits, bos: int | None) -> Tokens:
    """At most max_prompt_length tokens; a leading BOS survives a cut at the left."""
    keep = limits.max_prompt_length
    if len(prompt) <= keep:
        return prompt
    if limits.truncation_side == "right":
        return prompt[:keep]
    if prompt[0] == bos and keep > 1:
        return np.concatenate([prompt[:1], prompt[len(prompt) - keep + 1 :]])
    return prompt[-keep:]


def _encode_rows(
    rows: Sequence[Row], encoder: Encoder, report: DataReport, *, skip_bad: bool
) -> Iterator[_Encoded]:
    """Rows as ids. Raises DataError of those refused after the last one, to name all of them."""
    for start in range(0, len(rows), _ROWS_AT_A_TIME):
        some = rows[start : start + _ROWS_AT_A_TIME]
        for row, encoded in zip(some, _encode_all(some, encoder), strict=True):
            if isinstance(encoded, TokenizerFault):
                raise DataError(f"row '{row.id}': {encoded}") from encoded
            if isinstance(encoded, DataError):
                report.refuse(row.id, encoded)
                continue
            report.tools_left_out += encoded.tools_left_out
            yield encoded
    if report.refused and not skip_bad:
        raise DataError(report.told_refused())


def _encode_all(rows: Sequence[Row], encoder: Encoder) -> list[_Encoded | DataError]:
    rendered = render_rows(rows, encoder.tokenizer)
    turns = [found for found in rendered if isinstance(found, Turns)]
    prompts = _prompt_ids(turns, encoder)
    sides = _completion_ids(turns, prompts, encoder)
    ids = iter(zip(prompts, sides, strict=True))
    return [
        _encoded(row, found, *next(ids), encoder) if isinstance(found, Turns) else found
        for row, found in zip(rows, rendered, strict=True)
    ]


def _encoded(
    row: Row, turns: Turns, prompt: Ids, sides: Mapping[str, _Side], encoder: Encoder
) -> _Encoded | DataError:
    try:
        ids = _opened(row.prompt, prompt, encoder)
        closed = {
            role: _closed(parts, encoder, is_chat=turns.is_chat) for role, parts in sides.items()
        }
    except DataError as error:
        return error
    return _Encoded(row, ids, closed, turns.is_unusual, turns.tools_left_out)


def _prompt_ids(turns: Sequence[Turns], encoder: Encoder) -> list[Ids]:
    """A template writes its own special tokens; the tokenizer adds its own to a plain text."""
    chats = iter(encoder.encode([turn.prompt for turn in turns if turn.is_chat], special=False))
    plain = iter(encoder.encode([turn.prompt for turn in turns if not turn.is_chat], special=True))
    return [next(chats) if turn.is_chat else _unclosed(next(plain), encoder) for turn in turns]


def _unclosed(ids: Ids, encoder: Encoder) -> Ids:
    # Some tokenizers close every text; a prompt is not closed.
    return ids[:-1] if ids and ids[-1] in encoder.ends else ids


def _completion_ids(
    turns: Sequence[Turns], prompts: Sequence[Ids], encoder: Encoder
) -> list[dict[str, _Side]]:
    """Each part's ids, the parts of all rows in one call of the tokenizer."""
    parts: list[Part] = []
    before: list[tuple[str, Ids]] = []
    for turn, prompt in zip(turns, prompts, strict=True):
        for side in turn.completions.values():
            parts += side
            # What follows another part of the completion follows a special token.
            before += [(turn.prompt, prompt), *[("", [])] * (len(side) - 1)]
    ids = iter(encoder.following(before, [part.text for part in parts]))
    return [
        {role: [(next(ids), part.is_trained) for part in side]
        for role, side in turn.completions.items()}
        for turn in turns
    ]  # fmt: skip


def _opened(prompt: Text, ids: Ids, encoder: Encoder) -> Tokens:
    bos, name = encoder.bos, str(encoder.tokenizer.bos_token)
    if bos is not None and ids[:2] == [bos, bos]:
        words = f"the prompt begins with {name} twice"
        if not isinstance(prompt, str) and not prompt[0]["content"].lstrip().startswith(name):
            raise TokenizerFault(f"{words}, for the chat template writes both; mend the template")
        raise DataError(f"{words}; remove it from the text")
    # An empty prompt still needs one position that predicts the completion's first token.
    return np.asarray(ids or [encoder.eos if bos is None else bos], dtype=np.int32)


def _closed(
    parts: _Side, encoder: Encoder, *, is_chat: bool
) -> tuple[Tokens, NDArray[np.bool_] | None]:
    """One completion's ids, and which of them are context where it has several turns.

    Templates write more after the end of a turn (a newline): the model stops before it, so it is
    context between two turns and nothing after the last.
    """
    ids: Ids = []
    context: list[bool] = []
    for part, is_trained in parts[:-1]:
        end = _end(part, encoder) if is_trained else 0
        ids += part
        context += [False] * end + [True] * (len(part) - end)
    last, _ = parts[-1]
    ids += last[: _end(last, encoder)] if is_chat else last
    ids += [] if ids and ids[-1] in encoder.ends else [encoder.eos]
    if encoder.bos not in (None, *encoder.ends) and ids[0] == encoder.bos:
        name = encoder.tokenizer.bos_token
        raise DataError(f"the completion begins with {name}, as only a prompt may")
    tokens = np.asarray(ids, dtype=np.int32)
    if not any(context):
        return tokens, None
    return tokens, np.asarray(context + [False] * (len(ids) - len(context)))


def _end(ids: Ids, encoder: Encoder) -> int:
    """Where the last end token is done; the whole length where there is none."""
    return next((p + 1 for p in reversed(range(len(ids))) if ids[p] in encoder.ends), len(ids))


def _cut(encoded: _Encoded, encoder: Encoder, limits: Limits, report: DataReport) -> Example | None:
    row, kept = encoded.row, cut_prompt(encoded.prompt, limits, encoder.bos)
    room = limits.max_length - len(kept)
    long = sum(len(ids) > room for ids, _ in encoded.completions.values())
    if room < 1:
        report.dropped_without_room += 1
        report.drop(row.id)
        return None
    if long and limits.drop_long:
        report.dropped_too_long += 1
        report.drop(row.id)
        return None
    report.prompts_truncated += len(kept) < len(encoded.prompt)
    report.completions_truncated += long
    report.unusual_prompts += encoded.is_unusual
    sequences = {
        role: _sequence(kept, ids[:room], None if context is None else context[:room])
        for role, (ids, context) in encoded.completions.items()
    }
    return Example(
        row.id,
        row.group,
        row.prompt_key,
        row.prompt,
        sequences or {"prompt": TokenSequence(kept, np.empty(0, dtype=np.int32))},
        row.target,
        row.weight,
        row.margin,
        row.ranks,
        row.facts,
    )


def _sequence(
    prompt: Tokens, completion: Tokens, context: NDArray[np.bool_] | None
) -> TokenSequence:
    has_context = context is not None and bool(context.any())
    return TokenSequence(prompt, completion, context if has_context else None)


def _measure(
    examples: Sequence[Example], lengths: Mapping[str, Sequence[int]], report: DataReport
) -> None:
    report.prompt_lengths = Lengths.of(lengths["prompt"]) if lengths["prompt"] else None
    report.completion_lengths = Lengths.of(lengths["completion"]) if lengths["completion"] else None
    sequences = [list(example.sequences.values()) for example in examples]
    report.padding_share = padding_share([[len(one) for one in group] for group in sequences])
    for one in (one for group in sequences for one in group):
        report.longest_sequence = max(report.longest_sequence, len(one))
        report.completion_tokens += one.trained_tokens
        report.context_tokens += len(one.completion) - one.trained_tokens
