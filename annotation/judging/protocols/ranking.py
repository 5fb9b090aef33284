"""Sun et al. 2023, "Is ChatGPT Good at Search? Investigating Large Language Models as Re-Ranking
Agents" (permutation generation).

Kept: all candidates in one prompt under short labels, the reply is their order, best first (section
3.1). Added: shared places, and a random order with its reverse, for the order shown sways it.
"""

from annotation.judging.content import LISTWISE
from annotation.judging.protocols.base import JudgeProtocol, Template
from annotation.judging.settings import NO_SOFT_LABELS, SAMPLES, JudgeSettings

_SYSTEM = """\
You rank responses to the same request from the best to the worst. Compare them with each other on \
what is judged. Responses that you cannot tell apart share a place. The order in which they are \
shown is random and means nothing."""

_BODY = """\
{guidelines}
{criteria}
The conversation:
{prompt}
{reference}
The responses:
{responses}"""

PROTOCOL = JudgeProtocol(
    key="ranking",
    version=1,
    title="Ranking of a list",
    source="Sun et al. 2023, Is ChatGPT Good at Search? (permutation generation)",
    url="https://arxiv.org/abs/2304.09542",
    summary="All responses of a list (2 to 9) in one prompt, ranked, ties allowed.",
    rule="The mean rank over a random order and its reverse; equal means share a place.",
    templates={LISTWISE: Template(_SYSTEM, _BODY, "ranking")},
    defaults=JudgeSettings(reasoning=True, max_tokens=1024),
    soft_labels=(NO_SOFT_LABELS, SAMPLES),
)
