"""What the tests of the labeling page share: its sizes, and what is on it and was stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, ViewportSize, expect

from annotation.models import Judgment

Open = Callable[..., Page]
WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 360, "height": 740}


def newest() -> Judgment:
    return Judgment.objects.latest("pk")


def shown(judgment: Judgment, criterion: str = "overall") -> int:
    """The strength as it was chosen: positive when the response shown first is better."""
    strength = judgment.answers.get(criterion=criterion).strength
    assert strength is not None
    return strength if judgment.assignment.shown_order[0] == 0 else -strength


def shown_ranks(judgment: Judgment) -> list[int]:
    ranks = judgment.answers.get().ranks
    assert ranks is not None
    return [ranks[position] for position in judgment.assignment.shown_order]


def saved(page: Page, count: int) -> None:
    """All that was sent is stored."""
    expect(page.locator("#main")).to_have_attribute("data-unsent", "0")
    expect(page.locator("#today")).to_have_text(f"{count} today")


def held(page: Page) -> None:
    """The next item is ready in the page."""
    expect(page.locator("#main")).to_have_attribute("data-held", "1")


def on_screen(page: Page) -> str:
    return page.locator("#answer [name=assignment]").input_value()


def until(page: Page, holds: str | Callable[[], Any]) -> None:
    """An expression of the page (Playwright's own waiting evaluates in it, which the content policy
    forbids), or a condition here, while the page goes on."""
    for _ in range(2400):
        if page.evaluate(holds) if isinstance(holds, str) else holds():
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"It never came to be: {holds}")
