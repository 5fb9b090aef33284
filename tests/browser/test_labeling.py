"""The labeling page in a real browser: three kinds, by mouse and by key, wide and narrow."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, expect

from annotation.models import Assignment, Flag, Judgment, Protocol
from tests.browser.labeling import NARROW, WIDE, Open, newest, saved, shown, shown_ranks
from tests.browser.signing import leave, sign_in
from tests.cast import Cast, make_item

pytestmark = pytest.mark.django_db(transaction=True)

SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
TWO_CRITERIA = [
    {"key": "helpful", "name": "Helpful", "definition": "Which helps more?"},
    {"key": "true", "name": "True", "definition": "Which is right?"},
]


@SIZES
def test_pairwise_by_mouse(cast: Cast, label: Open, size) -> None:
    for _ in range(2):
        make_item(cast.project)
    page = label(size)
    page.locator("label[for=overall-2]").click()
    page.locator("#submit").click()
    saved(page, 1)
    expect(page.locator("#said")).to_contain_text("Saved.")
    assert shown(newest()) == 2
    page.locator("label[for=overall-bad]").click()
    expect(page.locator("#overall-4")).to_be_checked()
    page.locator("#submit").click()
    expect(page.get_by_text("All done here")).to_be_visible()
    answer = newest().answers.get()
    assert (answer.strength, answer.both_bad) == (0, True)


@SIZES
def test_pairwise_by_key_with_two_criteria(cast: Cast, label: Open, size) -> None:
    Protocol.objects.update(criteria=TWO_CRITERIA, reasons=["clearer", "too long"])
    for _ in range(2):
        make_item(cast.project)
    page = label(size)
    page.keyboard.press("7")
    page.keyboard.press("3")
    page.keyboard.press("r")
    page.keyboard.press("Space")
    page.locator("#comment").fill("Shorter and right.")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    saved(page, 1)
    judgment = newest()
    assert (shown(judgment, "helpful"), shown(judgment, "true")) == (-3, 1)
    assert judgment.reasons == ["clearer"]
    assert judgment.comment.text == "Shorter and right."
    assert judgment.duration_ms
    assert judgment.active_ms is not None


def test_what_is_typed_among_the_reasons_is_the_comment(cast: Cast, label: Open) -> None:
    Protocol.objects.update(reasons=["clearer", "too long"])
    make_item(cast.project)
    page = label()
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("Choose first")
    page.keyboard.press("6")
    expect(page.locator("#said")).to_have_text("")
    page.keyboard.press("r")
    page.keyboard.type("so full of s, f and 1")
    expect(page.locator("#comment")).to_have_value("so full of s, f and 1")
    expect(page.locator("#overall-6")).to_be_checked()


def test_arrows_go_between_criteria_and_b_is_a_tie(cast: Cast, label: Open) -> None:
    Protocol.objects.update(criteria=TWO_CRITERIA)
    make_item(cast.project)
    page = label()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("1")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All done here")).to_be_visible()
    assert shown(newest(), "true") == 3
    assert newest().answers.get(criterion="helpful").both_bad


def test_an_unanswered_criterion_is_asked_for(cast: Cast, label: Open) -> None:
    Protocol.objects.update(criteria=TWO_CRITERIA)
    make_item(cast.project)
    page = label()
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Choose first: True.")
    assert not Judgment.objects.exists()


@SIZES
def test_listwise_by_mouse(cast: Cast, label: Open, size) -> None:
    make_item(cast.project, kind="listwise")
    page = label(size)
    third = page.locator(".ranked[data-index='2']")
    third.locator("[data-move='-1']").click()
    third.locator("[data-move='-1']").click()
    page.locator(".ranked[data-index='1'] [data-tie]").click()
    page.locator("[data-line='-1']").click()
    page.locator("#submit").click()
    expect(page.get_by_text("All done here")).to_be_visible()
    answer = newest().answers.get()
    assert shown_ranks(newest()) == [2, 2, 1]
    assert answer.acceptable_to == 1


@SIZES
def test_listwise_by_key(cast: Cast, label: Open, size) -> None:
    make_item(cast.project, kind="listwise")
    page = label(size)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("1")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("t")
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All done here")).to_be_visible()
    answer = newest().answers.get()
    assert shown_ranks(newest()) == [1, 2, 1]
    assert answer.acceptable_to == 1


def test_a_list_is_dragged(cast: Cast, label: Open) -> None:
    make_item(cast.project, kind="listwise")
    page = label()
    grip = page.locator(".ranked[data-index='0'] .grip").bounding_box()
    last = page.locator(".ranked[data-index='2']").bounding_box()
    page.mouse.move(grip["x"] + 10, grip["y"] + 10)
    page.mouse.down()
    page.mouse.move(grip["x"] + 10, last["y"] + last["height"] - 5, steps=12)
    page.mouse.up()
    expect(page.locator(".ranked").last).to_have_attribute("data-index", "0")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All done here")).to_be_visible()
    assert shown_ranks(newest()) == [3, 1, 2]


def test_a_list_is_dragged_by_finger(cast: Cast, browser: Browser, live_server) -> None:
    make_item(cast.project, kind="listwise")
    context = browser.new_context(viewport=NARROW, has_touch=True)
    sign_in(context, cast.lena, live_server.url)
    page = context.new_page()
    page.goto(live_server.url + reverse("annotation:label", args=[cast.project.pk]))
    finger = context.new_cdp_session(page)
    grip = page.locator(".ranked[data-index='0'] .grip").bounding_box()
    last = page.locator(".ranked[data-index='1']").bounding_box()
    assert grip is not None
    assert last is not None
    x, top, end = grip["x"] + 10, grip["y"] + 10, last["y"] + last["height"]

    def touch(kind: str, y: float | None = None) -> None:
        points = [] if y is None else [{"x": x, "y": y}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", top)
    for step in range(1, 21):
        touch("touchMove", top + (end - top) * step / 20)
    touch("touchEnd")
    expect(page.locator(".ranked").nth(1)).to_have_attribute("data-index", "0")
    expect(page.locator(".is-dragged")).to_have_count(0)
    leave(context)


def test_an_untouched_list_is_not_an_answer(cast: Cast, label: Open) -> None:
    make_item(cast.project, kind="listwise")
    page = label()
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("press O")
    page.keyboard.press("o")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All done here")).to_be_visible()
    assert newest().answers.get().acceptable_to is None


@SIZES
def test_thumbs_by_mouse(cast: Cast, label: Open, size) -> None:
    make_item(cast.project, kind="thumbs")
    page = label(size)
    chip = page.get_by_text("clear", exact=True)
    expect(chip).not_to_be_visible()
    page.locator("label[for=overall-2]").click()
    expect(chip).to_be_visible()
    chip.click()
    page.locator("#submit").click()
    expect(page.get_by_text("All done here")).to_be_visible()
    assert newest().answers.get().thumb == 0
    assert newest().reasons == ["clear"]


@SIZES
def test_thumbs_by_key(cast: Cast, label: Open, size) -> None:
    make_item(cast.project, kind="thumbs")
    page = label(size)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All done here")).to_be_visible()
    assert newest().answers.get().thumb == 1


def test_skip_and_flag_by_key(cast: Cast, label: Open) -> None:
    for _ in range(3):
        make_item(cast.project)
    page = label()
    page.keyboard.press("s")
    page.keyboard.type("Not my field")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("Skipped.")
    page.keyboard.press("f")
    page.keyboard.press("Tab")
    page.keyboard.type("Cut off")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#said")).to_contain_text("Flagged for the manager.")
    skipped = Assignment.objects.filter(state=Assignment.State.SKIPPED)
    assert {row.skip_reason for row in skipped} == {"Not my field", "flag: Cut off"}
    assert Flag.objects.get().note == "Cut off"
    assert not Judgment.objects.exists()


def test_the_last_answer_is_changed(cast: Cast, label: Open) -> None:
    for _ in range(2):
        make_item(cast.project)
    page = label()
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    saved(page, 1)
    page.keyboard.press("u")
    expect(page.get_by_text("Changing your answer", exact=True)).to_be_visible()
    expect(page.locator("#overall-1")).to_be_checked()
    page.keyboard.press("6")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("Changed.")
    saved(page, 1)
    assert newest().revision == 2
    assert shown(newest()) == -2
    assert Assignment.objects.filter(state=Assignment.State.DONE).count() == 1


def test_panels_open_by_key_and_hide_nothing_for_good(cast: Cast, label: Open) -> None:
    make_item(cast.project)
    page = label()
    for key, panel in (("?", "#keys"), ("g", "#guidelines")):
        page.keyboard.press(key)
        expect(page.locator(panel)).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator(panel)).not_to_be_visible()


@SIZES
@pytest.mark.parametrize("kind", ["pairwise", "listwise", "thumbs"])
def test_nothing_moves_and_nothing_overflows(cast: Cast, label: Open, size, kind: str) -> None:
    make_item(cast.project, kind=kind)
    page = label(size)
    before = page.locator("#submit").bounding_box()
    page.keyboard.press("1")
    page.wait_for_timeout(300)
    assert page.locator("#submit").bounding_box() == before
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]


def test_it_works_without_script(cast: Cast, browser, live_server) -> None:
    for kind in ("pairwise", "listwise", "thumbs"):
        make_item(cast.project, kind=kind)
    context = browser.new_context(java_script_enabled=False, viewport=WIDE)
    sign_in(context, cast.lena, live_server.url)
    page = context.new_page()
    page.goto(live_server.url + reverse("annotation:label", args=[cast.project.pk]))
    for _ in range(3):
        if page.locator("label[for=overall-1]").count():
            page.locator("label[for=overall-1]").click()
        else:
            for index, rank in enumerate((2, 1, 3)):
                page.locator(f"[name='rank-overall-{index}']").fill(str(rank))
        with page.expect_navigation():
            page.locator("#submit").click()
    expect(page.get_by_text("All done here")).to_be_visible()
    assert Judgment.objects.count() == 3
    leave(context)


def test_a_project_that_only_picks_has_three_keys(cast: Cast, label: Open) -> None:
    Protocol.objects.update(pairwise_scale="pick", comment_min_length=12)
    for _ in range(2):
        make_item(cast.project)
    page = label()
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("12 more characters")
    page.keyboard.type("Only short")
    expect(page.locator("#comment-count")).to_have_text("2 more to write")
    page.keyboard.type(" and sweet")
    page.keyboard.press("Control+Enter")
    saved(page, 1)
    assert shown(newest()) == -2


def test_an_item_that_tells_its_author_is_flagged_and_answered(cast: Cast, label: Open) -> None:
    for _ in range(2):
        make_item(cast.project)
    page = label()
    page.keyboard.press("2")
    page.keyboard.press("f")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("You can answer it all the same")
    expect(page.locator("#overall-2")).to_be_checked()
    page.keyboard.press("Enter")
    saved(page, 1)
    flag = Flag.objects.get()
    assert (flag.kind, flag.assignment_id) == ("identity", newest().assignment_id)


def test_the_sheet_shows_the_keys_of_the_kind_on_screen(cast: Cast, label: Open) -> None:
    make_item(cast.project, kind="listwise")
    page = label()
    page.keyboard.press("?")
    expect(page.locator("#keys-list")).to_contain_text("As good as the one above")
    expect(page.locator("#keys-list")).not_to_contain_text("Both are bad")
