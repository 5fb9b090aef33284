"""Waits until a page has brought what it asks for as it comes."""

from __future__ import annotations

from playwright.sync_api import Page, expect

LOADING = ", ".join(
    [
        ".fragment > .waiting",
        # What asks again and again is never done.
        ".htmx-request:not([hx-trigger^=every])",
        "#swagger-ui:not(:has(.opblock))",
    ]
)


def settled(page: Page) -> None:
    """Not `networkidle`: on a busy machine a page that asks each second is never idle."""
    expect(page.locator(LOADING)).to_have_count(0)
