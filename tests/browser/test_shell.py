"""Signing in, the start page and the switch between light and dark, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.settled import settled
from tests.browser.signing import sign_in
from tests.cast import Cast, make_item

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_labeler_signs_in_by_key_and_starts_to_work(cast: Cast, page: Page, live_server) -> None:
    make_item(cast.project, kind="thumbs")
    page.goto(live_server.url)
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    expect(page.get_by_label("Username")).to_be_focused()
    page.keyboard.type("lena")
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Start").click()
    page.wait_for_url("**/label/")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All done here")).to_be_visible()


def test_the_switch_holds_over_pages_and_needs_no_reload(page: Page, live_server) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(live_server.url)
    bright = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_title("Light or dark").click()
    page.evaluate("window.same = true")
    page.get_by_role("button", name="Dark", exact=True).click()
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert dark != bright
    assert page.evaluate("window.same")
    page.goto(live_server.url + "/sign-in/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_dark_follows_the_system(page: Page, live_server) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(live_server.url)
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(233, 234, 237)"


def test_a_token_is_made_and_revoked(cast: Cast, page: Page, live_server) -> None:
    sign_in(page.context, cast.lena, live_server.url)
    page.goto(live_server.url + "/account/")
    page.get_by_label("Name").fill("My script")
    page.get_by_role("button", name="Make token").click()
    expect(page.locator("#token-text")).to_contain_text("prefloop_")
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("can no longer be used")).to_be_visible()
    expect(page.get_by_text("revoked", exact=True)).to_be_visible()


def test_the_first_tab_leads_past_the_navigation(page: Page, live_server) -> None:
    page.goto(live_server.url)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


@pytest.mark.parametrize("width", [360, 1280, 1920])
def test_no_page_of_the_shell_overflows(cast: Cast, page: Page, live_server, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(live_server.url)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    sign_in(page.context, cast.ada, live_server.url)
    for path in ("/", "/account/", "/no/such/page/"):
        page.goto(live_server.url + path)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") == width
