"""The shapes an answer may have: what may be said for one criterion, and how it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotation.judging.content import KINDS, LISTWISE, PAIRWISE, THUMBS

LETTERS = "ABCDEFGHI"

TIE = "tie"
AGREE, AVERAGE, MEAN, MEAN_RANK, SHARE = "agree", "average", "mean", "mean_rank", "share"


@dataclass(frozen=True)
class AnswerFormat:
    """`labels` is what may be said for one criterion (of one response, where it is a score).

    `tokens`: the one-token labels for log-probabilities, in the order of `labels`; empty where the
    format has none. `strengths`: of each label, for the response shown first. `rule`: how the
    answers of several orders and samples become one, unless the protocol says otherwise.
    """

    key: str
    title: str
    kinds: tuple[str, ...]
    labels: tuple[str, ...]
    rule: str
    meaning: str
    tokens: tuple[str, ...] = ()
    strengths: tuple[int, ...] = ()
    scale: tuple[int, int] | None = None

    @property
    def is_score(self) -> bool:
        return self.scale is not None

    @property
    def is_ranking(self) -> bool:
        return self.rule == MEAN_RANK

    def example(self, shown: int) -> str:
        """The value of one criterion as the prompt spells it."""
        if self.is_ranking:
            # No letters: an example in the order shown would be copied.
            return '[["…"], ["…"], …]'
        one = "|".join(self.labels if self.is_score else map(_quoted, self.labels))
        if self.is_score and shown > 1:
            return f"{{{', '.join(f'{_quoted(letter)}: {one}' for letter in LETTERS[:shown])}}}"
        return one

    def schema(self, shown: int) -> dict[str, Any]:
        """JSON schema of one criterion's value."""
        letters = list(LETTERS[:shown])
        if self.is_ranking:
            place = {"type": "array", "items": {"type": "string", "enum": letters}}
            return {"type": "array", "items": place}
        if not self.is_score:
            return {"type": "string", "enum": list(self.labels)}
        score = {"type": "integer", "enum": [int(label) for label in self.labels]}
        return score if shown == 1 else closed_object(dict.fromkeys(letters, score))


def closed_object(properties: dict[str, Any]) -> dict[str, Any]:
    """Every property required and none besides: what strict structured output asks for."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _quoted(text: str) -> str:
    return f'"{text}"'


def _score(key: str, title: str, low: int, high: int, *, tokens: bool) -> AnswerFormat:
    labels = tuple(str(value) for value in range(low, high + 1))
    return AnswerFormat(
        key=key,
        title=title,
        kinds=KINDS,
        labels=labels,
        rule=MEAN,
        meaning=f"a whole number from {low} (worst) to {high} (best)",
        tokens=labels if tokens else (),
        scale=(low, high),
    )


EITHER = AnswerFormat(
    "either",
    "A or B",
    (PAIRWISE,),
    ("A", "B"),
    AVERAGE,
    '"A" when A is better, "B" when B is better',
    tokens=("A", "B"),
    strengths=(2, -2),
)
CHOICE = AnswerFormat(
    "choice",
    "A, B or tie",
    (PAIRWISE,),
    ("A", "B", TIE),
    AGREE,
    '"A" when A is better, "B" when B is better, "tie" when they are equally good',
    tokens=("A", "B", "C"),
    strengths=(2, -2, 0),
)
FIVE_WAY = AnswerFormat(
    "five_way",
    "Five steps, from A>>B to B>>A",
    (PAIRWISE,),
    ("A>>B", "A>B", "A=B", "B>A", "B>>A"),
    MEAN,
    '"A>>B" when A is much better, "A>B" when A is slightly better, "A=B" when they are about '
    'equally good, "B>A" when B is slightly better, "B>>A" when B is much better',
    strengths=(3, 1, 0, -1, -3),
)
SCORE_5 = _score("score_5", "Score from 1 to 5", 1, 5, tokens=True)
# "10" is two tokens in many vocabularies, so it has no log-probability of its own.
SCORE_10 = _score("score_10", "Score from 0 to 10", 0, 10, tokens=False)
POINTS_5 = _score("points_5", "Points from 0 to 5", 0, 5, tokens=True)
RANKING = AnswerFormat(
    "ranking",
    "Ranking, best first",
    (LISTWISE,),
    (),
    MEAN_RANK,
    "a list of places, the best first; each place is a list of the letters that share it, and "
    "every letter stands once",
)
YES_NO = AnswerFormat(
    "yes_no",
    "Yes or no",
    (THUMBS,),
    ("yes", "no"),
    SHARE,
    '"yes" when the response is good by this criterion, "no" when it is not',
    tokens=("yes", "no"),
)

FORMATS: dict[str, AnswerFormat] = {
    one.key: one for one in (CHOICE, EITHER, FIVE_WAY, SCORE_5, SCORE_10, POINTS_5, RANKING, YES_NO)
}


def get_format(key: str) -> AnswerFormat:
    if key not in FORMATS:
        raise ValueError(f"answer_format: {key!r} is not one of {', '.join(FORMATS)}")
    return FORMATS[key]
