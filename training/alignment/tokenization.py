"""The one place that turns rows into tokens.

Prompt and completion are tokenised apart, so that the boundary never moves with the completion and
the completion's tokens are those that the model would have to write. The end-of-turn token belongs
to the completion. Truncation is counted and never empties a completion: what would be emptied is
dropped and counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.alignment.data import DataError, Row, Text

Tokens = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """A prompt and one completion as token ids."""

    prompt: Tokens
    completion: Tokens

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


@dataclass(frozen=True, slots=True)
class Example:
    """One unit of training: its sequences by role, its target and its weight.

    Of a list, `ranks` has one for each role in order. An example of a prompt alone has one
    sequence under the role `prompt`, whose completion is empty.
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

    def __len__(self) -> int:
        return max(len(sequence) for sequence in self.sequences.values())


@dataclass
class DataReport:
    """What became of the rows, so that nothing is cut or dropped silently."""

    rows: int = 0
    examples: int = 0
    ties_dropped: int = 0
    prompts_truncated: int = 0
    completions_truncated: int = 0
    dropped_without_room: int = 0
    dropped_ids: list[str] = field(default_factory=list)
    longest_sequence: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class Limits:
    """How long a sequence may be, in tokens, and at which side a prompt is cut."""

    max_length: int
    max_prompt_length: int
    truncation_side: str = "left"


def tokenize_rows(
    rows: Sequence[Row], tokenizer: Any, limits: Limits, report: DataReport
) -> list[Example]:
    """Tokenise all rows; `report` counts what was truncated or dropped.

    Raises DataError naming the row when a chat template or a special token makes the boundary
    between prompt and completion unclear.
    """
    report.rows += len(rows)
    examples = []
    for row in rows:
        try:
            example = _tokenize_row(row, tokenizer, limits, report)
        except DataError as error:
            raise DataError(f"row '{row.id}': {error}") from error
        if example is not None:
            examples.append(example)
    report.examples += len(examples)
    if not examples:
        raise DataError(
            f"no example is left of {report.rows} rows: {report.ties_dropped} ties dropped, "
            f"{report.dropped_without_room} without room for a completion"
        )
    return examples


def _tokenize_row(row: Row, tokenizer: Any, limits: Limits, report: DataReport) -> Example | None:
    prompt = encode_prompt(row.prompt, tokenizer)
    completions = {
        role: encode_completion(row.prompt, text, tokenizer)
        for role, text in row.completions.items()
    }
    kept = cut_prompt(prompt, limits, tokenizer.bos_token_id)
    room = limits.max_length - len(kept)
    if room < 1:
        report.dropped_without_room += 1
        report.dropped_ids = [*report.dropped_ids, row.id][:20]
        return None
    report.prompts_truncated += len(kept) < len(prompt)
    report.completions_truncated += sum(len(tokens) > room for tokens in completions.values())
    sequences = {role: TokenSequence(kept, tokens[:room]) for role, tokens in completions.items()}
    example = Example(
        row.id,
        row.group,
        row.prompt_key,
        row.prompt,
        sequences or {"prompt": TokenSequence(kept, np.empty(0, dtype=np.int32))},
        row.target,
        row.weight,
        row.margin,
        row.ranks,
    )
    report.longest_sequence = max(report.longest_sequence, len(example))
    report.completion_tokens += sum(len(item.completion) for item in sequences.values())
    return example


def encode_prompt(prompt: Text, tokenizer: Any) -> Tokens:
    """Token ids up to where the model begins to write. Raises DataError on a doubled BOS."""
    if isinstance(prompt, str):
        ids = tokenizer(prompt)["input_ids"]
        # Some tokenizers close every text; a prompt is not closed.
        ids = ids[:-1] if ids and ids[-1] in end_tokens(tokenizer) else ids
    else:
        ids = _plain_ids(_render(prompt, tokenizer, open_turn=True), tokenizer)
    bos = tokenizer.bos_token_id
    if bos is not None and list(ids[:2]) == [bos, bos]:
        raise DataError(
            f"the prompt begins with {tokenizer.bos_token} twice; remove it from the text"
        )
    # An empty prompt still needs one position that predicts the completion's first token.
    ids = ids or [bos if bos is not None else tokenizer.eos_token_id]
    return np.asarray(ids, dtype=np.int32)


def encode_completion(prompt: Text, completion: Text, tokenizer: Any) -> Tokens:
    """Token ids that the model would have to write, the end-of-turn token included."""
    ends = end_tokens(tokenizer)
    if isinstance(prompt, str) or isinstance(completion, str):
        ids = _plain_ids(str(completion), tokenizer)
    else:
        ids = _plain_ids(_completion_text(prompt, completion, tokenizer), tokenizer)
        # Templates write more after the end of a turn (a newline); the model stops before it.
        last = max((index for index, token in enumerate(ids) if token in ends), default=-1)
        ids = ids[: last + 1] or ids
    ids = ids if ids and ids[-1] in ends else [*ids, tokenizer.eos_token_id]
    if tokenizer.bos_token_id not in (None, *ends) and ids[0] == tokenizer.bos_token_id:
        raise DataError(f"the completion begins with {tokenizer.bos_token}, as only a prompt may")
    return np.asarray(ids, dtype=np.int32)


def end_tokens(tokenizer: Any) -> frozenset[int]:
    """Ids that end a turn: EOS, and the usual end-of-turn token where the vocabulary has one."""
    names = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>")
    vocabulary = tokenizer.get_added_vocab()
    ids = {vocabulary[name] for name in names if name in vocabulary}
    return frozenset(ids | {tokenizer.eos_token_id})


def _completion_text(
    prompt: list[dict[str, Any]], completion: list[dict[str, Any]], tokenizer: Any
) -> str:
    opened = _render(prompt, tokenizer, open_turn=True)
    whole = _render([*prompt, *completion], tokenizer, open_turn=False)
    if not whole.startswith(opened):
        raise DataError(
            "the chat template writes the prompt differently once an answer follows, so the "
            "boundary between them is unclear"
        )
    return whole[len(opened) :]


def _render(messages: list[dict[str, Any]], tokenizer: Any, *, open_turn: bool) -> str:
    if tokenizer.chat_template is None:
        raise DataError("the data hold chat messages, but the tokenizer has no chat template")
    text = str(
        tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=open_turn)
    )
    calls = [call for message in messages for call in message.get("tool_calls", ())]
    if any(call["function"]["name"] not in text for call in calls):
        raise DataError("the tokenizer's chat template leaves tool calls out")
    return text


def _plain_ids(text: str, tokenizer: Any) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


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
