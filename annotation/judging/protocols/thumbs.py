"""Kadavath et al. 2022, "Language Models (Mostly) Know What They Know".

Kept: one proposed answer is judged true or not, and the probability of the label's token, P(True),
is the confidence (section 3.2). By default the reply is yes or no after a reason.
"""

from annotation.judging.content import THUMBS
from annotation.judging.protocols.base import JudgeProtocol, Template
from annotation.judging.settings import JudgeSettings

_SYSTEM = """\
You decide whether one response is good enough to be given to the user who asked. It is when it \
does what was asked, without errors or harm that the user would have to mend."""

_BODY = """\
{guidelines}
{criteria}
The conversation:
{prompt}
{reference}
The response:
{response}"""

PROTOCOL = JudgeProtocol(
    key="thumbs",
    version=1,
    title="Yes or no, with a reason",
    source="Kadavath et al. 2022, Language Models (Mostly) Know What They Know: P(True)",
    url="https://arxiv.org/abs/2207.05221",
    summary="Whether one response is good, after a reason; or P(yes) from log-probabilities.",
    rule="Good when P(yes), or the share of samples that say yes, is above one half.",
    templates={THUMBS: Template(_SYSTEM, _BODY, "yes_no")},
    defaults=JudgeSettings(reasoning=True, max_tokens=512),
)
