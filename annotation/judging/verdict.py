"""From replies to verdicts, and from verdicts to a judge's one answer."""

from annotation.judging.chain_verdict import read_chain
from annotation.judging.combining import combine
from annotation.judging.labels import MissingLogprobs
from annotation.judging.outcome import (
    JUDGED,
    UNPARSABLE,
    Combined,
    CombinedCriterion,
    CriterionVerdict,
    Verdict,
)

__all__ = [
    "JUDGED",
    "UNPARSABLE",
    "Combined",
    "CombinedCriterion",
    "CriterionVerdict",
    "MissingLogprobs",
    "Verdict",
    "combine",
    "read_chain",
]
