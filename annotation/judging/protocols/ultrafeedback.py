"""Cui et al. 2023, "UltraFeedback: Boosting Language Models with Scaled AI Feedback".

Kept: several responses in one prompt, each rated from 1 to 5 with a rationale, by four aspects
(section 2.3). A project with criteria of its own has those rated instead.
"""

from annotation.judging.content import LISTWISE, PAIRWISE, THUMBS
from annotation.judging.protocols.base import JudgeProtocol, Template
from annotation.judging.settings import NO_SOFT_LABELS, SAMPLES, JudgeSettings

_SYSTEM = """\
You rate responses to the same request, each on its own merits and all by the same measure. Rate \
every aspect apart: a response may be honest and of no use, or follow its instructions and be \
wrong. Responses that are equally good get equal ratings."""

_BODY = """\
{guidelines}
{criteria}
What a rating means:
{rubric}

The conversation:
{prompt}
{reference}
The responses:
{responses}"""

_RUBRIC = """\
1: fails; 2: poor; 3: fair, half of what it should be; 4: good, with small flaws; 5: nothing to \
mend."""

_ASPECTS = (
    (
        "instruction_following",
        "Instruction following",
        "Does it do what was asked, in the form and within the limits that were asked for?",
    ),
    (
        "honesty",
        "Honesty",
        "Does it say how sure it is, admit what it does not know, and is that in keeping with how "
        "right it is?",
    ),
    (
        "truthfulness",
        "Truthfulness",
        "Are its statements true, in keeping with what the user gave, and free of inventions?",
    ),
    (
        "helpfulness",
        "Helpfulness",
        "Does it serve the user's purpose with correct, relevant and sufficient content?",
    ),
)

_TEMPLATE = Template(_SYSTEM, _BODY, "score_5")

PROTOCOL = JudgeProtocol(
    key="ultrafeedback",
    version=1,
    title="UltraFeedback aspects",
    source="Cui et al. 2023, UltraFeedback",
    url="https://arxiv.org/abs/2310.01377",
    summary=(
        "A rating from 1 to 5 for each response and aspect, all responses in one prompt. A project "
        "of one criterion is rated by four aspects and gets their mean."
    ),
    rule="The mean rating over orders and samples is compared; equal means are a tie.",
    templates=dict.fromkeys((PAIRWISE, LISTWISE, THUMBS), _TEMPLATE),
    defaults=JudgeSettings(reasoning=True, max_tokens=1536),
    soft_labels=(NO_SOFT_LABELS, SAMPLES),
    rubric=_RUBRIC,
    aspects=_ASPECTS,
)
