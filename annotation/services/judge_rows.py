"""How a call stands in its row: what it is asked with, what may be spent, what came back."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from annotation.judging.exchange import Chain, Request
from annotation.judging.keys import call_key
from annotation.judging.protocol import JudgeSpec
from annotation.judging.tokens import Rates, cost, request_tokens
from annotation.judging.verdict import Verdict
from annotation.llm.client import Completion
from annotation.llm.errors import OF_THE_ENDPOINT, CallFailed
from annotation.services.call_store import (
    DONE,
    FAILED,
    NO_MONEY,
    UNKNOWN,
    NewCall,
    Settlement,
)
from annotation.services.judge_desk import Subject
from core.canonical_json import digest_of_text


class CallRows:
    """`guidelines`: the version of the project's criteria and guidelines that it is asked by."""

    def __init__(
        self, spec: JudgeSpec, judge_key: str, price: Rates | None, *, guidelines: int
    ) -> None:
        self.spec, self.judge_key, self.price = spec, judge_key, price
        self.guidelines = guidelines
        self._template = digest_of_text(spec.template)
        # The same few for all calls of a run.
        self._parameters: dict[tuple[Any, ...], str] = {}

    def chain_key(self, content_hash: str, chain: Chain, purpose: str) -> str:
        """For the delimiters: the same in all calls of a chain, and on a retry."""
        return self._key(content_hash, chain, purpose, 1)

    def wish(
        self, subject: Subject, content_hash: str, chain: Chain, request: Request, attempt: int
    ) -> NewCall:
        purpose = f"{subject.purpose}/{request.stage}"
        return NewCall(
            call_key=self._key(content_hash, chain, purpose, attempt),
            item=subject.item,
            purpose=purpose,
            shown_order=chain.shown_order,
            sample=chain.sample,
            attempt=attempt,
            parameters=f'{self._parameters_of(request)[:-1]}, "content": "{content_hash}"}}',
            reserve=self._reserve(request),
        )

    def answered(
        self, call: int, wish: NewCall, told: Completion, verdict: Verdict | None, broken: str
    ) -> Settlement:
        """`broken`: why nothing can be read in it, which fails it although it cost."""
        reply = told.reply.to_json() | {"model": told.model, "fingerprint": told.fingerprint}
        return Settlement(
            call,
            self._cost(told, wish.reserve),
            FAILED if broken else DONE,
            reply=storable_json(reply),
            verdict=storable_json(verdict.to_json()) if verdict else "{}",
            error=storable(broken or (verdict.error if verdict else "")),
            tries=told.tries,
            prompt_tokens=told.prompt_tokens,
            completion_tokens=told.completion_tokens,
            latency_ms=told.latency_ms,
        )

    def failed(
        self, call: int, wish: NewCall, failure: CallFailed, *, asked_again: bool
    ) -> Settlement:
        """Unknown, not failed, where another attempt may fare better, now or in a resumed run."""
        paid = wish.reserve if failure.may_have_cost else NO_MONEY
        error = storable(f"{failure.kind}: {failure}")
        may_pass = failure.may_repeat or failure.kind in OF_THE_ENDPOINT
        state = UNKNOWN if may_pass else FAILED
        return Settlement(
            call, paid, state, error=error, tries=failure.tries, asked_again=asked_again
        )

    def _key(self, content_hash: str, chain: Chain, purpose: str, attempt: int) -> str:
        return call_key(
            judge_key=self.judge_key,
            content_hash=content_hash,
            chain=chain,
            purpose=purpose,
            attempt=attempt,
        )

    def _reserve(self, request: Request) -> Decimal:
        if self.price is None:
            return NO_MONEY
        return cost(request_tokens(request), request.max_tokens, self.price)

    def _cost(self, told: Completion, reserve: Decimal) -> Decimal:
        if not (told.prompt_tokens or told.completion_tokens):
            return reserve  # the endpoint does not say: as much as it may have cost
        return cost(told.prompt_tokens, told.completion_tokens, self.price)

    def _parameters_of(self, request: Request) -> str:
        asked = (request.stage, request.max_tokens, request.temperature, request.seed)
        is_priced = self.price is not None
        key = (*asked, request.top_logprobs, request.choices, request.schema is not None, is_priced)
        if key not in self._parameters:
            self._parameters[key] = json.dumps(
                {
                    "model": self.spec.model_name,
                    "protocol": f"{self.spec.protocol} {self.spec.protocol_version}",
                    "template": self._template,
                    "guidelines": self.guidelines,
                    "max_tokens": request.max_tokens,
                    "temperature": request.temperature,
                    "seed": request.seed,
                    "top_logprobs": request.top_logprobs,
                    "choices": request.choices,
                    "schema": request.schema is not None,
                    # Without one the call is booked at nothing, which is no price.
                    "priced": is_priced,
                }
            )
        return self._parameters[key]


def storable_json(value: Any) -> str:
    """As PostgreSQL can keep it: without NUL characters and halves of surrogate pairs."""
    text = json.dumps(value)
    # Pairs are whole characters, but rare enough in replies to be looked at again.
    return json.dumps(_clean(value)) if "\\u0000" in text or "\\ud" in text else text


def storable(text: str) -> str:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(key)): _clean(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(one) for one in value]
    return value
