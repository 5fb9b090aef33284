from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from annotation.judging import (
    Chain,
    cost,
    estimate_tokens,
    likely_tokens,
    next_request,
    request_tokens,
)
from tests.annotation.judging.making import content, spec


@dataclass(frozen=True)
class Rates:
    input_per_million: Decimal
    output_per_million: Decimal


def test_the_bound_is_bytes_and_the_templates_own() -> None:
    messages = [{"role": "user", "content": "grün"}]
    # 5 bytes of text, 4 of the role, 16 round a message, 64 round the call.
    assert estimate_tokens(messages) == 5 + 4 + 16 + 64
    assert estimate_tokens([]) == 64


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"))))
def test_the_bound_is_never_under_the_bytes(texts: list[str]) -> None:
    messages = [{"role": "user", "content": text} for text in texts]
    assert estimate_tokens(messages) >= sum(len(text.encode()) for text in texts)
    assert likely_tokens(messages) <= estimate_tokens(messages)


def test_a_request_counts_its_schema_and_choices() -> None:
    by_schema = next_request(spec("mt_bench"), content(), Chain((0, 1)), {}, nonce="n")
    by_choice = next_request(spec("rlaif"), content(), Chain((0, 1)), {}, nonce="n")
    assert request_tokens(by_schema) > estimate_tokens(by_schema.messages) + 100
    assert request_tokens(by_choice) == estimate_tokens(by_choice.messages) + len('["A", "B"]')


def test_cost_is_rounded_up_to_what_a_row_holds() -> None:
    rates = Rates(Decimal("2.5"), Decimal(10))
    assert cost(1_000_000, 100_000, rates) == Decimal("3.5")
    assert cost(1, 0, Rates(Decimal("0.001"), Decimal(0))) == Decimal("0.00000001")
    assert cost(0, 0, rates) == 0
    assert cost(1_000, 1_000, None) == 0
