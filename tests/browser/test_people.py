"""People come, look at their own work, and go: in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from annotation.models import Assignment, Membership
from core.models import User
from tests.browser.signing import leave, sign_in
from tests.cast import Cast, make_item
from tests.own_answers import answer

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_link_is_copied_and_a_stranger_joins_by_key_on_a_phone(
    cast: Cast, page: Page, browser: Browser, live_server
) -> None:
    make_item(cast.project, kind="thumbs")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in(page.context, cast.mary, live_server.url)
    page.goto(f"{live_server.url}/projects/{cast.project.pk}/people/")
    page.get_by_label("How many people it serves").fill("20")
    page.get_by_role("button", name="Make a link").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{live_server.url}/join/")

    phone = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
    guest = phone.new_page()
    guest.goto(link)
    assert guest.url == f"{live_server.url}/join/"
    assert guest.evaluate("document.documentElement.scrollWidth") <= 360
    expect(guest.get_by_label("Username")).to_be_focused()
    for words in ("nina", "Nina N.", "three quiet otters", "three quiet otters"):
        guest.keyboard.type(words)
        guest.keyboard.press("Tab")
    guest.keyboard.press("Enter")
    expect(guest.get_by_text("You are a labeler in “Helpful answers”.")).to_be_visible()
    guest.get_by_role("link", name="Start").click()
    guest.wait_for_url("**/label/")
    leave(phone)
    assert Membership.objects.get(user__username="nina").role == "labeler"


def test_the_tables_of_people_fit_a_phone(cast: Cast, page: Page, live_server) -> None:
    User.objects.filter(pk=cast.lena.pk).update(name="Lena with a name of many words " * 3)
    page.set_viewport_size({"width": 360, "height": 740})
    sign_in(page.context, cast.ada, live_server.url)
    people = f"{live_server.url}/projects/{cast.project.pk}/people/"
    page.goto(people)
    page.get_by_role("button", name="Make a link").click()
    expect(page.get_by_role("heading", name="Links")).to_be_visible()
    for address in (people, f"{live_server.url}/people/"):
        page.goto(address)
        for frame in page.locator(".table-frame").all():
            assert frame.evaluate("frame => frame.scrollWidth - frame.clientWidth") == 0
        assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_an_own_answer_is_found_again_and_changed(cast: Cast, page: Page, live_server) -> None:
    assignment = answer(make_item(cast.project), cast.bob)
    sign_in(page.context, cast.bob, live_server.url)
    page.goto(f"{live_server.url}/my-work/")
    entry = page.get_by_role("listitem").filter(has_text="Response 1 better")
    entry.get_by_role("link").click()
    page.wait_for_url(f"**/label/{assignment.pk}/")
    expect(page.locator("input[name=strength-overall][value='2']")).to_be_checked()
    page.keyboard.press("6")
    with page.expect_response("**/label/submit/"):
        page.keyboard.press("Enter")
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{live_server.url}/projects/{cast.project.pk}/my-work/")
    expect(page.get_by_text("Response 2 better")).to_be_visible()
    expect(page.get_by_text("changed once")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert Assignment.objects.get(pk=assignment.pk).current.revision == 2


def test_who_is_deactivated_is_out_at_the_next_click(
    cast: Cast, page: Page, browser: Browser, live_server
) -> None:
    elsewhere = browser.new_context()
    sign_in(elsewhere, cast.bob, live_server.url)
    bobs = elsewhere.new_page()
    bobs.goto(f"{live_server.url}/my-work/")
    expect(bobs.get_by_role("heading", name="My work")).to_be_visible()
    sign_in(page.context, cast.ada, live_server.url)
    page.goto(f"{live_server.url}/people/")
    page.get_by_role("searchbox").fill("bob")
    page.keyboard.press("Enter")
    page.wait_for_url("**/people/?search=bob")
    page.get_by_role("link", name="Bob").click()
    page.get_by_role("button", name="Deactivate").click()
    expect(page.get_by_text("can no longer sign in")).to_be_visible()
    bobs.reload()
    bobs.wait_for_url("**/sign-in/**")
    leave(elsewhere)
    page.get_by_text("Forget this person").click()
    page.get_by_label("Type the username").fill("bob")
    page.get_by_role("button", name="Forget for good").click()
    expect(page.get_by_text("The person is forgotten")).to_be_visible()
    assert User.objects.get(pk=cast.bob.pk).erased_at is not None
