"""What the newest calls of a judge, or of its model, came to: the next ones are estimated by it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from annotation.judging.exchange import REPAIR
from annotation.judging.sizes import size_of
from annotation.models import Judge, JudgeCall
from annotation.selectors.judge import contents_of, spec_of

LATEST = 500
# So many of their items are read again.
READ = 100
JUDGE, MODEL = "judge", "model"


@dataclass(frozen=True)
class Past:
    """Of a call, with the repairs that followed some: seconds, and tokens of output.

    `prompt`: the tokens of input that the endpoint counted, as a share of those that the texts were
    taken for; None where it counted none. `source`: whose calls they are, "judge" or "model".
    """

    seconds: float
    completion: float
    prompt: float | None
    source: str


class _Row(NamedTuple):
    judge: int
    item: int | None
    purpose: str
    prompt: int
    completion: int
    latency_ms: int

    @property
    def is_repair(self) -> bool:
        return self.purpose.partition("/")[2].startswith(REPAIR)

    @property
    def is_of_the_item(self) -> bool:
        """Injected answers are texts of other lengths."""
        return self.item is not None and self.prompt > 0 and not self.purpose.startswith("canary")


_COLUMNS = ("judge", "item", "purpose", "prompt_tokens", "completion_tokens", "latency_ms")


def asked_so_far(judge: Judge) -> Past | None:
    """This judge's own calls, else those of all judges of its model."""
    done = JudgeCall.objects.filter(state=JudgeCall.State.DONE, latency_ms__isnull=False)
    own, of_model = done.filter(judge=judge), done.filter(judge__model=judge.model_id)
    for source, calls in ((JUDGE, own), (MODEL, of_model)):
        newest = calls.order_by("-pk").values_list(*_COLUMNS)[:LATEST]
        if rows := [_Row(*one) for one in newest]:
            return _past(rows, source)
    return None


def _past(rows: Sequence[_Row], source: str) -> Past:
    asked = sum(not row.is_repair for row in rows) or len(rows)
    return Past(
        seconds=sum(row.latency_ms for row in rows) / 1000 / asked,
        completion=sum(row.completion for row in rows) / asked,
        prompt=_share_of_the_guess(rows),
        source=source,
    )


def _share_of_the_guess(rows: Sequence[_Row]) -> float | None:
    counted, guessed = 0, 0.0
    known = [row for row in rows if row.is_of_the_item]
    judges = Judge.objects.select_related("project").filter(pk__in={row.judge for row in known})
    for judge in judges:
        mine = [row for row in known if row.judge == judge.pk]
        guesses = _guesses(judge, (row.item for row in mine if row.item is not None))
        mine = [row for row in mine if row.item in guesses]
        counted += sum(row.prompt for row in mine)
        guessed += sum(guesses[row.item] for row in mine if row.item and not row.is_repair)
    return counted / guessed if guessed else None


def _guesses(judge: Judge, items: Iterable[int]) -> dict[int, float]:
    """Tokens of input of one call, by the newest items."""
    spec = spec_of(judge)
    if judge.project is None:
        return {}
    contents = contents_of(judge.project, list(dict.fromkeys(items))[:READ])
    sizes = {item: size_of(spec, content, None) for item, content in contents.items()}
    return {item: size.prompt / size.calls for item, size in sizes.items() if size.calls}
