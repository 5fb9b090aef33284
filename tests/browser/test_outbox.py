"""What was typed and sent outlives reloads, lost replies, lost networks and eager hands."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, BrowserContext, Route, expect

from annotation.models import Assignment, Draft, Judgment, Protocol
from tests.browser.labeling import (
    NARROW,
    Open,
    held,
    newest,
    on_screen,
    saved,
    shown,
    until,
)
from tests.browser.signing import leave, sign_in
from tests.cast import Cast, make_item

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_draft_outlives_a_reload(cast: Cast, label: Open) -> None:
    make_item(cast.project)
    page = label()
    page.keyboard.press("5")
    page.keyboard.press("r")
    page.locator("#comment").fill("Half a thought")
    page.reload()
    expect(page.locator("#overall-5")).to_be_checked()
    expect(page.locator("#comment")).to_have_value("Half a thought")


def test_an_answer_is_sent_again_after_a_lost_reply(cast: Cast, label: Open) -> None:
    make_item(cast.project)
    page = label()

    def lose_the_reply(route: Route) -> None:
        # The server got it: the worst case.
        route.fetch()
        route.abort()

    page.route("**/label/submit/", lose_the_reply)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Waiting for the connection")).to_be_visible()
    assert Judgment.objects.count() == 1
    page.unroute("**/label/submit/")
    expect(page.get_by_text("All done here")).to_be_visible()
    assert Judgment.objects.count() == 1


def test_the_next_item_is_there_before_the_network_answers(cast: Cast, label: Open) -> None:
    for _ in range(3):
        make_item(cast.project)
    page = label()
    held(page)
    stopped: list[Route] = []
    page.route("**/label/submit/", lambda route: stopped.append(route))
    first = on_screen(page)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.locator("#answer [name=assignment]")).not_to_have_value(first)
    second = on_screen(page)
    until(page, lambda: stopped)
    assert not Judgment.objects.exists()
    stopped[0].continue_()
    page.unroute("**/label/submit/")
    saved(page, 1)
    # What is on screen is known to be, and one more is ready behind it.
    assert Assignment.objects.get(pk=second).opened_at
    assert Assignment.objects.filter(state="leased", opened_at=None).count() == 1


def test_answers_outlive_a_lost_network_and_a_reload(
    cast: Cast, label: Open, context: BrowserContext
) -> None:
    for _ in range(3):
        make_item(cast.project)
    page = label()
    held(page)
    context.set_offline(True)
    for key in "26":
        page.keyboard.press(key)
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Waiting for the connection")).to_be_visible()
    expect(page.locator("#on-the-way")).to_have_text("2 answers waiting for the connection")
    assert not Judgment.objects.exists()
    # The page is closed with them unsent, as by a crash; another one sends them.
    page.route("**/label/submit/", lambda route: route.abort())
    context.set_offline(False)
    page.reload()
    expect(page.locator("#on-the-way")).to_contain_text("2 answers")
    page.unroute("**/label/submit/")
    page.evaluate("dispatchEvent(new Event('online'))")
    saved(page, 2)
    assert [shown(row) for row in Judgment.objects.order_by("pk")] == [2, -2]
    expect(page.locator("#answer")).to_be_visible()
    assert int(on_screen(page)) not in {row.assignment_id for row in Judgment.objects.all()}


def test_a_refused_answer_comes_back_with_all_that_was_typed(cast: Cast, label: Open) -> None:
    for _ in range(3):
        make_item(cast.project)
    page = label()
    held(page)
    first = on_screen(page)
    # The questions change in this very moment: the answer fits the new ones no longer.
    Protocol.objects.update(guidelines="Mind the facts.")
    page.keyboard.press("2")
    page.keyboard.press("r")
    page.locator("#comment").fill("Clearer by far")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#said")).to_contain_text("The guidelines changed")
    page.get_by_role("button", name="Back to it").click()
    expect(page.locator("#answer [name=assignment]")).to_have_value(first)
    expect(page.locator("#overall-2")).to_be_checked()
    expect(page.locator("#comment")).to_have_value("Clearer by far")
    expect(page.locator("#guidelines-button")).to_contain_text("changed")
    page.keyboard.press("Enter")
    saved(page, 1)
    expect(page.locator("#on-the-way")).to_be_hidden()
    assert newest().comment.text == "Clearer by far"


def test_a_draft_goes_on_at_another_device(
    cast: Cast, label: Open, browser: Browser, live_server
) -> None:
    make_item(cast.project)
    page = label()
    page.keyboard.press("6")
    page.keyboard.press("r")
    page.locator("#comment").fill("Begun at the desk")
    until(page, lambda: "at the desk" in str(Draft.objects.values_list("values")))
    phone = browser.new_context(viewport=NARROW, has_touch=True)
    sign_in(phone, cast.lena, live_server.url)
    other = phone.new_page()
    other.goto(page.url)
    expect(other.locator("#overall-6")).to_be_checked()
    expect(other.locator("#comment")).to_have_value("Begun at the desk")
    leave(phone)


def test_a_double_click_is_one_answer(cast: Cast, label: Open) -> None:
    for _ in range(2):
        make_item(cast.project)
    page = label()
    page.keyboard.press("2")
    page.locator("#submit").dblclick()
    saved(page, 1)
    assert Judgment.objects.count() == 1
