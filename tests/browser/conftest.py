from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, ViewportSize, expect

from tests.browser.labeling import WIDE, Open
from tests.browser.signing import sign_in
from tests.cast import Cast


@pytest.fixture
def label(cast: Cast, context: BrowserContext, page: Page, live_server) -> Open:
    """Opens the labeling page as Lena, at a size; its keys work by then."""

    def open_page(size: ViewportSize = WIDE) -> Page:
        page.set_viewport_size(size)
        sign_in(context, cast.lena, live_server.url)
        page.goto(live_server.url + reverse("annotation:label", args=[cast.project.pk]))
        expect(page.locator("#keys-list dt")).not_to_have_count(0)
        return page

    return open_page
