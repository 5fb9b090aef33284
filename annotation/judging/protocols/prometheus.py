"""Kim et al. 2024, "Prometheus 2: An Open Source Language Model Specialized in Evaluating Other
Language Models".

Kept: absolute grading of one response alone from 1 to 5, by a rubric that says what each score
means and with an optional reference answer, the feedback written before the score (section 3.1).
Pairs and lists are compared by their scores.
"""

from annotation.judging.content import LISTWISE, PAIRWISE, THUMBS
from annotation.judging.protocols.base import JudgeProtocol, Template
from annotation.judging.settings import JudgeSettings

_SYSTEM = """\
You are a fair evaluator who grades one response by a given rubric. Write detailed feedback that \
follows the rubric and nothing else, not your general impression; then give the score that the \
rubric's words describe best."""

_BODY = """\
{guidelines}
{criteria}
The rubric:
{rubric}

The conversation:
{prompt}
{reference}
The response to grade:
{response}"""

_RUBRIC = """\
1: The response fails: it is wrong, beside the point, or ignores what was asked.
2: The response has serious flaws; only small parts of it help.
3: The response does part of what was asked, with errors or gaps that the user will notice.
4: The response does what was asked, with small flaws only.
5: The response does all that was asked, correctly and clearly; there is nothing to mend."""

_TEMPLATE = Template(_SYSTEM, _BODY, "score_5")

PROTOCOL = JudgeProtocol(
    key="prometheus",
    version=1,
    title="Prometheus rubric",
    source="Kim et al. 2024, Prometheus 2",
    url="https://arxiv.org/abs/2405.01535",
    summary="Feedback, then a score from 1 to 5 by a rubric, for each response alone.",
    rule=(
        "Responses are scored apart, so there are no orders to disagree; the mean over samples is "
        "compared, and equal scores are a tie."
    ),
    templates=dict.fromkeys((PAIRWISE, LISTWISE, THUMBS), _TEMPLATE),
    defaults=JudgeSettings(reasoning=True, max_tokens=1024, use_reference=True),
    rubric=_RUBRIC,
)
