"""The one place that applies chat templates: where the model begins to write, and where it stops.

A conversation is rendered whole, and then cut where a turn of the model begins and ends. So a
template is applied once to each answer, and what stands between two of the model's turns (a user's
or a tool's words) is known to be somebody else's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from jinja2 import TemplateError

from training.alignment.data import DataError, Row
from training.alignment.data.messages import tool_name

Messages = list[dict[str, Any]]
# The tools that a template is told of, and the messages.
Talk = tuple[Messages | None, Any]
# What templates raise of messages that they do not expect: they are programs of the model's folder.
_FAILURES = (
    *(TemplateError, TypeError, LookupError, ValueError, AttributeError, ArithmeticError),
    RecursionError,
)
# Stands for an answer where only the template's words around it are looked for.
_PROBE = "Prefloop probe 7c1e"


class TokenizerFault(DataError):
    """What no row is to blame for, so that leaving rows out is no remedy."""


class Part(NamedTuple):
    """A stretch of a completion: the model's own turn, or what was said between two of them."""

    text: str
    is_trained: bool


@dataclass(frozen=True, slots=True)
class Turns:
    """One row as text: its prompt, and the parts of each completion by role.

    `is_closed` says that the parts hold the template's end of turn. `is_unusual` says that the
    template begins a finished turn otherwise than one that the model is to write; the prompt then
    ends as before a finished turn. `tools_left_out` says that the row names tools of which the
    prompt does not tell.
    """

    prompt: str
    completions: Mapping[str, Sequence[Part]]
    is_chat: bool
    is_unusual: bool = False
    tools_left_out: bool = False


def render_rows(rows: Sequence[Row], tokenizer: Any) -> list[Turns | DataError]:
    """Each row as text, or what is wrong with it.

    What is wrong: messages where the tokenizer has no template, a template that refuses them or
    leaves tool calls out, or one that writes the prompt differently once an answer follows.
    """
    try:
        return _rendered(rows, tokenizer)
    except _FAILURES as error:
        if len(rows) > 1:
            return [found for row in rows for found in render_rows([row], tokenizer)]
        return [_refusal(error)]


def _refusal(error: Exception) -> DataError:
    if isinstance(error, TemplateError):
        return DataError(f"the chat template refuses the messages ({error})")
    name = type(error).__name__
    return DataError(f"the chat template fails on the messages ({name}: {error})")


def _rendered(rows: Sequence[Row], tokenizer: Any) -> list[Turns | DataError]:
    chats = [row for row in rows if not isinstance(row.prompt, str)]
    if chats and tokenizer.chat_template is None:
        words = "the data hold chat messages, but the tokenizer has no chat template"
        error = TokenizerFault(words)
        return [_plain(row) if isinstance(row.prompt, str) else error for row in rows]
    talks: list[Talk] = [(row.tools, row.prompt) for row in chats]
    opened = iter(_render(talks, tokenizer, open_turn=True))
    ended: list[Talk] = [
        (row.tools, [*row.prompt, *text]) for row in chats for text in row.completions.values()
    ]
    whole = iter(_render(ended, tokenizer, open_turn=False))
    return [
        _plain(row)
        if isinstance(row.prompt, str)
        else _chat(row, next(opened), {role: next(whole) for role in row.completions}, tokenizer)
        for row in rows
    ]


def _plain(row: Row) -> Turns:
    parts = {role: (Part(str(text), True),) for role, text in row.completions.items()}
    # No template tells of tools before a plain text, whatever the row holds under that name.
    left_out = bool(row.facts.get("tools"))
    return Turns(str(row.prompt), parts, is_chat=False, tools_left_out=left_out)


def _chat(row: Row, opened: str, whole: Mapping[str, str], tokenizer: Any) -> Turns | DataError:
    try:
        _check_tool_calls(row.prompt, opened)
        for role, text in whole.items():
            _check_tool_calls(row.completions[role], text)
        start = opened
        if not all(text.startswith(opened) for text in whole.values()):
            start = _finished_start(row, opened, whole.values(), tokenizer)
        parts = {role: _parts(row, role, start, text, tokenizer) for role, text in whole.items()}
    except DataError as error:
        return error
    left_out = any(tool_name(tool) not in start for tool in row.tools or ())
    return Turns(start, parts, is_chat=True, is_unusual=start != opened, tools_left_out=left_out)


def _finished_start(row: Row, opened: str, whole: Any, tokenizer: Any) -> str:
    """What stands before a finished answer, where that is not what opens the model's turn.

    Some templates open a turn with more than they keep of a finished one (a thought, for example).
    """
    prompt: Any = row.prompt
    talks = [prompt, [*prompt, {"role": "assistant", "content": _PROBE}]]
    closed, probed = _render([(row.tools, talk) for talk in talks], tokenizer, open_turn=False)
    start, found, _ = probed.partition(_PROBE)
    same = found and start.startswith(closed) and opened.startswith(closed)
    if not same or not all(text.startswith(start) for text in whole):
        raise DataError(
            "the chat template writes the prompt differently once an answer follows, so the "
            "boundary between them is unclear"
        )
    return start


def _parts(row: Row, role: str, start: str, whole: str, tokenizer: Any) -> tuple[Part, ...]:
    """The completion's text, cut where a turn of the model ends and the next one begins."""
    messages: Any = row.completions[role]
    own = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    if len(messages) == 1:
        return (Part(whole[len(start) :], True),)
    if own[0] != 0:
        raise DataError("a completion must begin with a message of the assistant")
    prompt: Any = row.prompt
    ended = [(row.tools, [*prompt, *messages[: p + 1]]) for p in own[:-1]]
    begun = [(row.tools, [*prompt, *messages[:p]]) for p in own[1:]]
    ends = _render(ended, tokenizer, open_turn=False)
    begins = _render(begun, tokenizer, open_turn=True)
    marks = [start]
    for end, begin in zip(ends, begins, strict=True):
        marks += [end, begin]
    marks.append(whole)
    if any(not later.startswith(earlier) for earlier, later in pairwise(marks)):
        raise DataError(
            "the chat template changes an answer's earlier turns once later ones follow, so "
            "the model's own turns cannot be told from the others; of a demonstration "
            "assistant_turns can be set to last"
        )
    return tuple(
        Part(later[len(earlier) :], place % 2 == 0)
        for place, (earlier, later) in enumerate(pairwise(marks))
    )


def _check_tool_calls(messages: Any, text: str) -> None:
    calls = [call for message in messages for call in message.get("tool_calls", ())]
    if any(call["function"]["name"] not in text for call in calls):
        raise DataError("the tokenizer's chat template leaves tool calls out")


def _render(talks: Sequence[Talk], tokenizer: Any, *, open_turn: bool) -> list[str]:
    """Talks with the same tools at once: each alone would cost most of the time."""
    texts: list[str] = []
    for tools, group in groupby(talks, key=itemgetter(0)):
        texts += tokenizer.apply_chat_template(
            [messages for _, messages in group],
            tools=tools,
            tokenize=False,
            add_generation_prompt=open_turn,
        )
    return [str(text) for text in texts]
