"""Li et al. 2024, "From Crowdsourced Data to High-Quality Benchmarks: Arena-Hard and BenchBuilder".

Kept: the judge works out its own answer first, then gives one of five verdicts (section 4.1); every
pair is two games with the order swapped; a strong win counts three times a slight one.
"""

from annotation.judging.content import PAIRWISE
from annotation.judging.protocols.base import JudgeProtocol, Template
from annotation.judging.settings import NO_SOFT_LABELS, SAMPLES, JudgeSettings

_SYSTEM = """\
You are an impartial judge of two AI assistants that answered the same request. Before you judge, \
work out how you would answer it yourself. Then compare both answers with yours: name what is \
wrong or missing in each. An answer is good when it is correct, helpful, to the point and no \
longer than it needs to be; it is better still when it sees what the user forgot to say. Where a \
request is unclear, asking back is better than guessing. Which answer is shown first must not sway \
you."""

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
    key="arena_hard",
    version=1,
    title="Arena-Hard, five steps",
    source="Li et al. 2024, From Crowdsourced Data to High-Quality Benchmarks",
    url="https://arxiv.org/abs/2406.11939",
    summary="How much better one of two answers is, in five steps, after an answer of its own.",
    rule=(
        "A>>B is 3, A>B is 1, A=B is 0; the mean of both orders, a half going toward the tie. "
        "So 3 and −1 give 1, and 1 and −1 give a tie."
    ),
    templates={PAIRWISE: Template(_SYSTEM, _BODY, "five_way")},
    defaults=JudgeSettings(reasoning=True, max_tokens=2048),
    soft_labels=(NO_SOFT_LABELS, SAMPLES),
)
