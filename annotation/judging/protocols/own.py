"""A researcher's own texts: the platform marks data, asks for the answer's shape and reads it."""

from annotation.judging.content import LISTWISE, PAIRWISE, THUMBS
from annotation.judging.protocols.base import JudgeProtocol, Template
from annotation.judging.settings import JudgeSettings

_SYSTEM = "You are a careful and impartial judge of responses to users' requests."

_OPENING = """\
{guidelines}
{criteria}
The conversation:
{prompt}
{reference}
"""

_PAIR = """\
Answer A:
{response_a}
Answer B:
{response_b}"""

# Where a researcher starts; any of it may be changed.
PROTOCOL = JudgeProtocol(
    key="own",
    version=1,
    title="Own template",
    source="Written in this project",
    url="",
    summary="Your own texts with named placeholders, and the answer format that you choose.",
    rule=(
        "By the answer format. A/B/tie: a win needs both orders. A or B: probabilities are "
        "averaged. Five steps: the mean. Scores: mean scores are compared, equal ones tie. "
        "Ranking: mean ranks. Yes or no: more than half."
    ),
    templates={
        PAIRWISE: Template(_SYSTEM, _OPENING + _PAIR, "choice"),
        LISTWISE: Template(_SYSTEM, _OPENING + "The responses:\n{responses}", "ranking"),
        THUMBS: Template(_SYSTEM, _OPENING + "The response:\n{response}", "yes_no"),
    },
    defaults=JudgeSettings(reasoning=True),
)
