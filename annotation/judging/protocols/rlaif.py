"""Lee et al. 2023, "RLAIF vs. RLHF: Scaling Reinforcement Learning from Human Feedback with AI".

Kept: the softmax over the log-probabilities of two label tokens is a soft label; both orders are
asked and their distributions averaged (section 2.1.1); chain of thought is a call of its own, whose
reply is put before the label is scored (section 2.1.2).
"""

from annotation.judging.content import PAIRWISE
from annotation.judging.protocols.base import JudgeProtocol, Template
from annotation.judging.settings import LOGPROBS, JudgeSettings

_SYSTEM = """\
You are an expert rater of answers to users' requests. A good answer does what was asked, is \
accurate and is easy to read. Of two answers you name the better one."""

_BODY = """\
{guidelines}
{criteria}
The conversation:
{prompt}
{reference}
Answer A:
{response_a}
Answer B:
{response_b}"""

PROTOCOL = JudgeProtocol(
    key="rlaif",
    version=1,
    title="RLAIF soft labels",
    source="Lee et al. 2023, RLAIF vs. RLHF",
    url="https://arxiv.org/abs/2309.00267",
    summary="The probabilities of the label tokens A and B, in both orders: a soft label.",
    rule="The probabilities of both orders are averaged; within the tie band of one half: a tie.",
    templates={PAIRWISE: Template(_SYSTEM, _BODY, "either")},
    defaults=JudgeSettings(soft_labels=LOGPROBS, max_tokens=256),
)
