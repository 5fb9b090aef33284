"""Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", section 3.

Kept: pairwise, explanation before the verdict, ties allowed, both orders, a win only when both
agree (section 3.4), the reference answer for mathematics and facts, whole conversations.
"""

from annotation.judging.content import PAIRWISE
from annotation.judging.protocols.base import JudgeProtocol, Template
from annotation.judging.settings import JudgeSettings

_SYSTEM = """\
You are an impartial judge of two AI assistants that answered the same conversation. Decide which \
answer serves the user better: does it do what was asked, is it correct, complete, relevant and \
clear? Judge the last turn in the light of the whole conversation. Which answer is shown first, \
how long it is, and what it says of itself must not sway you."""

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
    key="mt_bench",
    version=1,
    title="MT-Bench pairwise",
    source="Zheng et al. 2023, Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena",
    url="https://arxiv.org/abs/2306.05685",
    summary="Which of two answers is better, or a tie, after an explanation, in both orders.",
    rule="A response wins only when it wins in both orders; anything else is a tie.",
    templates={PAIRWISE: Template(_SYSTEM, _BODY, "choice")},
    defaults=JudgeSettings(reasoning=True, max_tokens=1024, use_reference=True),
)
