"""The item held ready in a real browser: never shown twice, whichever reply comes first."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from annotation.models import Draft, Judgment
from tests.browser.labeling import Open
from tests.cast import Cast, make_item

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def opened(cast: Cast, label: Open, page: Page) -> Open:
    """The labeling page as Lena; what it asks of the network ahead may be held up."""

    def open_page(*, items: int, ahead=None) -> Page:
        for _ in range(items):
            make_item(cast.project)
        if ahead:
            page.route("**/label/ahead/", ahead)
        return label()

    return open_page


def number(page: Page) -> Locator:
    return page.locator("#answer [name=assignment]")


def test_a_reply_that_comes_too_late_brings_no_item_again(cast: Cast, opened: Open) -> None:
    late: list[Route] = []

    def hold_up_the_first(route: Route) -> None:
        if late:
            route.continue_()
        else:
            late.append(route)

    page = opened(items=3, ahead=hold_up_the_first)
    first = number(page).input_value()
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(number(page)).not_to_have_value(first)
    second = number(page).input_value()
    expect(page.locator("#main")).to_have_attribute("data-held", "1")
    with page.expect_event("requestfinished", lambda request: request == late[0].request):
        late[0].continue_()
    page.route("**/label/submit/", lambda route: None)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    # It is there before the network answers, and it is another one.
    expect(number(page)).to_have_count(1)
    assert number(page).input_value() not in (first, second)
    assert Judgment.objects.count() == 1
    # Once nothing is held up any more, the second answer goes out, too.
    page.unroute_all()


def test_a_change_that_is_given_up_is_not_offered_again(cast: Cast, opened: Open) -> None:
    page = opened(items=2)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_have_attribute("data-unsent", "0")
    page.keyboard.press("u")
    expect(page.locator("#overall-1")).to_be_checked()
    with page.expect_response("**/label/draft/"):
        page.keyboard.press("6")
    assert Draft.objects.count() == 1
    with page.expect_response("**/label/draft/"):
        page.locator("#leave").click()
    assert not Draft.objects.exists()
    page.keyboard.press("u")
    expect(page.locator("#overall-1")).to_be_checked()
