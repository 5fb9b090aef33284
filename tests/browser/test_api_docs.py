"""The API's page in a real browser, under the content policy."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.signing import sign_in
from tests.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_call_is_tried_from_the_page(
    cast: Cast, context: BrowserContext, page: Page, live_server
) -> None:
    """The page's fixture fails the test when the content policy is violated."""
    sign_in(context, cast.bob, live_server.url)
    page.goto(f"{live_server.url}/api/docs/")
    operation = page.locator("#operations-annotation-projects_list")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    operation.locator(".live-responses-table").get_by_text("Helpful answers").first.wait_for()
