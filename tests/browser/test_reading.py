"""Reading two responses beside each other: their difference, and panes that go together."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotation.models import Response
from tests.browser.labeling import NARROW, Open, until
from tests.cast import Cast, make_item

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_phone_swaps_sides_by_tab(cast: Cast, label: Open) -> None:
    make_item(cast.project)
    page = label(NARROW)
    second = page.get_by_role("link", name="Response 2")
    second.click()
    expect(second).to_have_attribute("aria-current", "true")
    expect(page.locator("#response-2")).to_be_in_viewport()


MARKED = """[...(CSS.highlights.get('difference') ?? [])].map(
    (range) => range.startContainer.data.slice(range.startOffset, range.endOffset))"""
AT_THE_END = """[...document.querySelectorAll('.response')].every((pane) =>
    pane.scrollTop > 0 && pane.scrollTop >= pane.scrollHeight - pane.clientHeight - 2)"""


def two_texts(cast: Cast, first: str, second: str) -> None:
    """An item whose texts stand in this order for Lena."""
    item = make_item(cast.project)
    for row, text in zip(item.item_responses.all(), (first, second), strict=True):
        messages = [{"role": "assistant", "content": text}]
        Response.objects.filter(pk=row.response_id).update(messages=messages)


def test_the_difference_is_marked_word_by_word_in_both(cast: Cast, label: Open) -> None:
    two_texts(
        cast,
        "Take **two spoons of sugar** and stir until it is quite smooth.",
        "Take **two cups of sugar** and stir until it is quite smooth, then rest.",
    )
    page = label()
    page.keyboard.press("d")
    until(page, "CSS.highlights.has('difference')")
    assert set(page.evaluate(MARKED)) == {"spoons", "cups", ", then rest"}
    page.reload()
    until(page, "CSS.highlights.has('difference')")
    page.keyboard.press("d")
    assert page.evaluate(MARKED) == []


def test_long_answers_go_on_together_and_end_together(cast: Cast, label: Open) -> None:
    two_texts(cast, "Some words. " * 4000, "Other words.\n\n" * 900)
    page = label()
    boxes = [page.locator(f"#response-{number}").bounding_box() for number in (1, 2)]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert (boxes[0]["width"], boxes[0]["height"]) == (boxes[1]["width"], boxes[1]["height"])
    page.locator("#response-1").hover()
    page.mouse.wheel(0, 1_000_000)
    until(page, AT_THE_END)
    page.keyboard.press("x")
    expect(page.locator("#whole")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("document.documentElement.scrollHeight > 5000")
