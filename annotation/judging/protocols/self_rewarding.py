"""Yuan et al. 2024, "Self-Rewarding Language Models".

Kept: one point for each of five steps that build on each other, a justification before the total
(section 2.1, figure 2), the mean over several samples as the score (section 3.1.3).
"""

from annotation.judging.content import LISTWISE, PAIRWISE, THUMBS
from annotation.judging.protocols.base import JudgeProtocol, Template
from annotation.judging.settings import SAMPLES, JudgeSettings

_SYSTEM = """\
You review a response to a user's request. You give it points that add up: start at 0, go through \
the steps in order, and add one point for each that it fulfils. First justify the points in a few \
sentences, then give their sum."""

_BODY = """\
{guidelines}
{criteria}
The points:
{rubric}

The conversation:
{prompt}
{reference}
The response to review:
{response}"""

_RUBRIC = """\
+1: it is relevant and says something about what was asked, even if incomplete or partly off.
+1: it covers a substantial part of the request, though it does not settle it.
+1: it gives useful answers to the main parts of the request, whoever may have written it.
+1: it is written for the user as an assistant would: direct, complete, well organised, helpful, \
with little left to improve.
+1: it is of an expert's quality and fits this very request: insightful, engaging, nothing \
needless."""

_TEMPLATE = Template(_SYSTEM, _BODY, "points_5")

PROTOCOL = JudgeProtocol(
    key="self_rewarding",
    version=1,
    title="Self-Rewarding, additive points",
    source="Yuan et al. 2024, Self-Rewarding Language Models",
    url="https://arxiv.org/abs/2401.10020",
    summary="Up to five points that build on each other, for each response alone, in 3 samples.",
    rule=(
        "Responses are scored apart, so there are no orders to disagree; the mean over samples is "
        "compared, and equal means are a tie."
    ),
    templates=dict.fromkeys((PAIRWISE, LISTWISE, THUMBS), _TEMPLATE),
    defaults=JudgeSettings(
        reasoning=True, samples=3, temperature=0.7, soft_labels=SAMPLES, max_tokens=768
    ),
    rubric=_RUBRIC,
)
