"""Keeps a better response by who judged one: a demonstration, and a chosen side against it."""

from __future__ import annotations

from annotation.messages import Messages, storable
from annotation.models import Annotator, Generator, Judgment, Kind, Response, Rewrite
from core.canonical_json import digest
from core.errors import PrefloopError

LONGEST_REWRITE = 100_000


def rewrite_response(*, judgment: Judgment, text: str) -> Rewrite | None:
    """To be called in the transaction that stores the judgment, which has one rewrite at most.

    `text` takes the place of the response's last message. None: it says the same as that, or
    nothing.
    """
    item = judgment.assignment.item
    if item.kind != Kind.THUMBS:
        raise PrefloopError("Only a response that is judged alone can be rewritten.")
    original = item.responses.get()
    written = _checked(text)
    if not written.strip() or written.strip() == _one_spelling(text_of(original.messages)).strip():
        return None
    if not judgment.protocol.allows_rewrite:
        raise PrefloopError("This project takes no rewritten responses. Take yours back.")
    messages = [*original.messages[:-1], {**original.messages[-1], "content": written}]
    # Not under the lock of imports: nobody waits for one to submit. The constraint decides.
    response, _ = Response.objects.get_or_create(
        prompt_id=item.prompt_id,
        generator=generator_of(judgment.assignment.annotator),
        content_hash=digest(messages),
        defaults={"messages": messages},
    )
    return Rewrite.objects.create(judgment=judgment, response=response)


def generator_of(annotator: Annotator) -> Generator:
    """Named as exports name who judged, so by no name."""
    return Generator.objects.get_or_create(
        name=f"annotator {annotator.uuid}", defaults={"kind": Generator.Kind.PERSON}
    )[0]


def text_of(messages: Messages) -> str:
    """What is rewritten of a response: its last message."""
    return str(messages[-1]["content"])


def _checked(text: str) -> str:
    if len(text) > LONGEST_REWRITE:
        raise PrefloopError(
            f"The rewritten response is longer than {LONGEST_REWRITE:,} characters. Shorten it.",
            field="rewrite",
        )
    return _one_spelling(storable(text, "rewrite"))


def _one_spelling(text: str) -> str:
    """A form sends line ends of its own."""
    return text.replace("\r\n", "\n")
