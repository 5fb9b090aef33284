"""How a language model is asked to judge, and how its replies are read.

Plain functions on frozen values: no database, no network, no Django. A judge's protocol, template
and settings (`JudgeSpec`) and an item (`ItemContent`) give `chains`; each chain gives one request
after the other (`next_request`) until `read_chain` can say what it came to; `combine` makes one
answer of all of them.
"""

from annotation.judging.asking import chains, most_calls, next_request
from annotation.judging.content import Criterion, ItemContent, Message
from annotation.judging.exchange import Chain, Reply, Request, TokenLogprobs
from annotation.judging.keys import call_key, nonce
from annotation.judging.protocol import (
    JudgeProtocol,
    JudgeSpec,
    Template,
    check_spec,
    default_template,
    get_protocol,
    needs_of,
    protocols,
)
from annotation.judging.settings import JudgeSettings, describe_settings
from annotation.judging.tokens import cost, estimate_tokens, likely_tokens, request_tokens
from annotation.judging.verdict import (
    Combined,
    CombinedCriterion,
    CriterionVerdict,
    MissingLogprobs,
    Verdict,
    combine,
    read_chain,
)

__all__ = [
    "Chain",
    "Combined",
    "CombinedCriterion",
    "Criterion",
    "CriterionVerdict",
    "ItemContent",
    "JudgeProtocol",
    "JudgeSettings",
    "JudgeSpec",
    "Message",
    "MissingLogprobs",
    "Reply",
    "Request",
    "Template",
    "TokenLogprobs",
    "Verdict",
    "call_key",
    "chains",
    "check_spec",
    "combine",
    "cost",
    "default_template",
    "describe_settings",
    "estimate_tokens",
    "get_protocol",
    "likely_tokens",
    "most_calls",
    "needs_of",
    "next_request",
    "nonce",
    "protocols",
    "read_chain",
    "request_tokens",
]
