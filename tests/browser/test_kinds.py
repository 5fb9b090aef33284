"""One response, and lists, in a real browser: by keys alone, by touch, on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, CDPSession, Page, expect

from annotation.models import Assignment, Item, ItemResponse, Judgment, Protocol, Rewrite
from tests.browser.labeling import NARROW, Open, held, shown_ranks, until
from tests.browser.signing import leave, sign_in
from tests.cast import Cast, make_item, make_prompt, make_response

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def phone(cast: Cast, browser: Browser, live_server) -> Iterator[Open]:
    """A phone of a hand: touch, no mouse, no keys."""
    context = browser.new_context(viewport=NARROW, has_touch=True, is_mobile=True)

    def open_page() -> Page:
        sign_in(context, cast.lena, live_server.url)
        page = context.new_page()
        page.goto(live_server.url + reverse("annotation:label", args=[cast.project.pk]))
        expect(page.locator("#keys-list dt")).not_to_have_count(0)
        return page

    yield open_page
    leave(context)


def judged(page: Page, count: int) -> list[Judgment]:
    """In the order in which they were made, once so many are stored: the page does not wait."""
    until(page, lambda: Judgment.objects.count() >= count)
    # The reply has come too, and with it the next item.
    expect(page.locator("#main")).to_have_attribute("data-unsent", "0")
    expect(page.locator("#on-the-way")).not_to_be_visible()
    found = list(Judgment.objects.order_by("pk"))
    assert len(found) == count
    return found


def rest(page: Page) -> None:
    """As long as it takes to see that there is another item."""
    expect(page.locator("#answer")).to_be_attached()
    expect(page.locator(".thumbs :checked")).to_have_count(0)
    page.wait_for_timeout(300)


def thumbs(judgments: list[Judgment]) -> list[int | None]:
    return [judgment.answers.get().thumb for judgment in judgments]


def test_one_key_a_judgment_where_no_reasons_are_asked(cast: Cast, label: Open) -> None:
    Protocol.objects.update(reasons=[])
    for _ in range(4):
        make_item(cast.project, kind="thumbs")
    page = label()
    for key in ("1", "2", "ArrowLeft", "ArrowRight"):
        rest(page)
        page.keyboard.press(key)
    expect(page.get_by_text("All done here")).to_be_visible()
    assert thumbs(judged(page, 4)) == [1, 0, 1, 0]


def test_a_tap_for_the_item_before_does_not_judge_the_next(cast: Cast, label: Open) -> None:
    Protocol.objects.update(reasons=[])
    for _ in range(3):
        make_item(cast.project, kind="thumbs")
    page = label()
    rest(page)
    # So that the second tap of an eager hand meets the next item.
    held(page)
    page.evaluate(TWO_TAPS)
    judged(page, 1)
    expect(page.locator("#overall-1")).to_be_checked()
    page.wait_for_timeout(300)
    page.keyboard.press("2")
    assert thumbs(judged(page, 2)) == [1, 0]


TWO_TAPS = """
() => {
  for (const _ of [1, 2]) {
    const tap = { key: "1", code: "Digit1", bubbles: true, cancelable: true };
    document.body.dispatchEvent(new KeyboardEvent("keydown", tap));
  }
}
"""


def test_with_reasons_the_first_press_chooses_and_the_second_submits(
    cast: Cast, label: Open
) -> None:
    Protocol.objects.update(reasons=["clear", "wrong"])
    for _ in range(2):
        make_item(cast.project, kind="thumbs")
    page = label()
    expect(page.get_by_text("clear", exact=True)).not_to_be_visible()
    page.keyboard.press("3")
    expect(page.locator(".chip-input:checked")).to_have_count(0)
    page.keyboard.press("2")
    expect(page.get_by_text("wrong", exact=True)).to_be_visible()
    page.keyboard.press("4")
    page.keyboard.press("2")
    (first,) = judged(page, 1)
    assert (first.answers.get().thumb, first.reasons) == (0, ["wrong"])
    expect(page.locator("#answer")).to_be_visible()
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    assert judged(page, 2)[1].reasons == []


def test_how_one_works_is_remembered(cast: Cast, label: Open) -> None:
    for _ in range(3):
        make_item(cast.project, kind="thumbs")
    page = label()
    expect(page.get_by_label("One press submits")).not_to_be_checked()
    page.keyboard.press("o")
    expect(page.get_by_label("One press submits")).to_be_checked()
    page.reload()
    expect(page.get_by_label("One press submits")).to_be_checked()
    rest(page)
    page.locator("label[for=overall-2]").click()
    assert thumbs(judged(page, 1)) == [0]
    page.keyboard.press("o")
    page.locator("label[for=overall-1]").click()
    expect(page.locator("#overall-1")).to_be_checked()
    page.wait_for_timeout(300)
    assert Judgment.objects.count() == 1


def test_a_press_that_was_wrong_is_changed_and_given_a_reason(cast: Cast, label: Open) -> None:
    for _ in range(2):
        make_item(cast.project, kind="thumbs")
    page = label()
    page.keyboard.press("o")
    rest(page)
    page.keyboard.press("1")
    judged(page, 1)
    page.keyboard.press("u")
    expect(page.locator("#overall-1")).to_be_checked()
    expect(page.get_by_label("One press submits")).not_to_be_visible()
    page.keyboard.press("2")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(page.locator("#overall-1")).not_to_be_checked()
    assert [one.revision for one in judged(page, 2)] == [1, 2]
    newest = Judgment.objects.latest("pk")
    assert (newest.answers.get().thumb, newest.reasons) == (0, ["clear"])


def test_where_more_is_asked_a_press_only_chooses(cast: Cast, label: Open) -> None:
    Protocol.objects.update(reasons=[], comment_min_length=5)
    make_item(cast.project, kind="thumbs")
    page = label()
    expect(page.get_by_label("One press submits")).not_to_be_visible()
    rest(page)
    page.keyboard.press("1")
    page.keyboard.press("1")
    expect(page.locator("#said")).to_contain_text("5 more characters")
    page.keyboard.type("Because.")
    page.keyboard.press("Control+Enter")
    judged(page, 1)


def test_a_response_is_rewritten_by_key(cast: Cast, label: Open) -> None:
    item = make_item(cast.project, kind="thumbs")
    original = item.responses.get().messages[0]["content"]
    page = label()
    page.keyboard.press("w")
    field = page.get_by_label("A better response")
    expect(field).to_be_focused()
    expect(field).to_have_value(original)
    page.keyboard.press("Control+End")
    page.keyboard.type(" And 12 more.")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    (judgment,) = judged(page, 1)
    assert judgment.rewrite.response.messages[0]["content"] == f"{original} And 12 more."
    page.keyboard.press("u")
    expect(field).to_have_value(f"{original} And 12 more.")
    page.get_by_role("button", name="Back to the response as it was").click()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("All done here")).to_be_visible()
    assert judged(page, 2)[1].revision == 2
    assert Rewrite.objects.count() == 1


def test_a_rewrite_survives_a_reload_and_one_untouched_is_none(cast: Cast, label: Open) -> None:
    make_item(cast.project, kind="thumbs")
    page = label()
    field = page.get_by_label("A better response")
    page.keyboard.press("w")
    field.fill("Half a better")
    page.reload()
    expect(field).to_have_value("Half a better")
    page.get_by_role("button", name="Back to the response as it was").click()
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.keyboard.press("1")
    judged(page, 1)
    assert not Rewrite.objects.exists()


def test_thumbs_by_touch(cast: Cast, phone: Open) -> None:
    for _ in range(2):
        make_item(cast.project, kind="thumbs")
    page = phone()
    page.locator("#rewrite summary").tap()
    page.get_by_label("A better response").fill("Better.")
    page.locator("label[for=overall-2]").tap()
    page.get_by_text("clear", exact=True).tap()
    page.locator("#submit").tap()
    (first,) = judged(page, 1)
    assert (first.answers.get().thumb, first.reasons) == (0, ["clear"])
    assert first.rewrite.response.messages[0]["content"] == "Better."
    page.get_by_label("One press submits").tap()
    rest(page)
    page.locator("label[for=overall-1]").tap()
    assert thumbs(judged(page, 2)) == [0, 1]


def test_skip_and_flag_by_touch(cast: Cast, phone: Open) -> None:
    for _ in range(3):
        make_item(cast.project)
    page = phone()
    page.get_by_role("button", name="Skip").tap()
    page.get_by_label("Why (optional)").fill("Not my field")
    page.locator("#skip-dialog").get_by_role("button", name="Skip").tap()
    expect(page.locator("#said")).to_contain_text("Skipped.")
    page.get_by_role("button", name="Flag").tap()
    page.get_by_label("Note (optional)").fill("Cut off")
    page.locator("#flag-dialog .button-primary").tap()
    expect(page.locator("#said")).to_contain_text("Flagged for the manager.")
    reasons = Assignment.objects.filter(state="skipped").values_list("skip_reason", flat=True)
    assert set(reasons) == {"Not my field", "flag: Cut off"}


def make_list(cast: Cast, size: int, text: str = "Short {}.") -> Item:
    prompt = make_prompt(cast.project)
    item = make_item(cast.project, kind="listwise", prompt=prompt)
    item.item_responses.all().delete()
    rows = [
        make_response(prompt, text.format(number), generator=f"maker {number}")
        for number in range(size)
    ]
    for position, row in enumerate(sorted(rows, key=lambda row: row.uuid)):
        ItemResponse.objects.create(item=item, response=row, position=position)
    return item


def order(page: Page) -> list[int]:
    """The cards as they stand, by the place at which each was shown."""
    found: list[str] = page.locator(".ranked").evaluate_all(
        "(all) => all.map((one) => one.dataset.index)"
    )
    return [int(index) for index in found]


def test_a_list_of_nine_by_keys_alone(cast: Cast, label: Open) -> None:
    make_list(cast, 9)
    page = label()
    page.keyboard.press("9")
    assert order(page) == [1, 2, 3, 4, 5, 6, 7, 8, 0]
    expect(page.locator("#spoken")).to_contain_text("Response 1: rank 9")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("t")
    assert order(page) == [1, 2, 3, 4, 5, 0, 6, 7, 8]
    page.keyboard.press("a")
    expect(page.locator("#spoken")).to_have_text(
        "Response 1: rank 5, tied with the one above; the first 6 of 9 are acceptable."
    )
    page.keyboard.press("Enter")
    (judgment,) = judged(page, 1)
    assert shown_ranks(judgment) == [5, 1, 2, 3, 4, 5, 6, 7, 8]
    assert judgment.answers.get().acceptable_to == 5


def test_a_list_of_twelve_still_works(cast: Cast, label: Open) -> None:
    make_list(cast, 12)
    page = label()
    page.keyboard.press("9")
    for _ in range(9):
        page.keyboard.press("Shift+ArrowDown")
    page.locator(".ranked[data-index='10']").get_by_role("button", name="Response 11 up").click()
    page.keyboard.press("Control+Enter")
    (judgment,) = judged(page, 1)
    assert shown_ranks(judgment) == [12, 1, 2, 3, 4, 5, 6, 7, 8, 10, 9, 11]


def test_long_responses_fold_alike(cast: Cast, label: Open) -> None:
    make_list(cast, 3, "A long answer, the {}th. " + "word " * 600)
    page = label()
    heights = "(all) => all.map((one) => Math.round(one.getBoundingClientRect().height))"
    texts = page.locator(".ranked-text")
    assert len(set(texts.evaluate_all(heights))) == 1
    folded = texts.evaluate_all(heights)[0]
    page.keyboard.press("v")
    assert min(texts.evaluate_all(heights)) > 2 * folded
    expect(page.locator("[data-unfold]").first).to_have_text("Show less")
    page.keyboard.press("v")
    assert set(texts.evaluate_all(heights)) == {folded}


def test_a_list_by_touch(cast: Cast, phone: Open) -> None:
    make_list(cast, 3)
    page = phone()
    card = page.locator(".ranked[data-index='2']")
    card.locator("[data-move='-1']").tap()
    card.locator("[data-move='-1']").tap()
    page.locator(".ranked[data-index='1'] [data-tie]").tap()
    page.locator("[data-line='-1']").tap()
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    page.locator("#submit").tap()
    (judgment,) = judged(page, 1)
    assert shown_ranks(judgment) == [2, 2, 1]
    assert judgment.answers.get().acceptable_to == 1


class Finger:
    """One finger on the glass, as the browser gets it from the screen."""

    def __init__(self, session: CDPSession) -> None:
        self.session = session

    def send(self, kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y} for x, y in points]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


def test_a_long_list_is_dragged_by_finger_beyond_the_window(cast: Cast, phone: Open) -> None:
    make_list(cast, 9, "Answer {}. " + "word " * 300)
    page = phone()
    finger = Finger(page.context.new_cdp_session(page))
    grip = page.locator(".ranked[data-index='0'] .grip").bounding_box()
    assert grip is not None
    x, y = grip["x"] + 20, grip["y"] + 20
    finger.send("touchStart", (x, y))
    for step in range(1, 11):
        finger.send("touchMove", (x, y + (NARROW["height"] - 100 - y) * step / 10))
    # The finger rests, the list goes by under it.
    expect(page.locator(".ranked").last).to_have_attribute("data-index", "0")
    finger.send("touchEnd")
    expect(page.locator(".is-dragged")).to_have_count(0)
    assert order(page)[-1] == 0
    page.locator("#submit").tap()
    assert shown_ranks(judged(page, 1)[0]) == [9, 1, 2, 3, 4, 5, 6, 7, 8]


def test_the_line_is_dragged_and_two_criteria_have_each_their_list(cast: Cast, label: Open) -> None:
    names = [{"key": key, "name": key.title(), "definition": ""} for key in ("helpful", "true")]
    Protocol.objects.update(criteria=names)
    make_list(cast, 3)
    page = label()
    line, first = page.locator("#line .grip"), page.locator(".ranked").first
    start, end = line.bounding_box(), first.bounding_box()
    assert start is not None
    assert end is not None
    page.mouse.move(start["x"] + 8, start["y"] + 8)
    page.mouse.down()
    page.mouse.move(start["x"] + 8, end["y"] + end["height"], steps=8)
    page.mouse.up()
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("press O")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    (judgment,) = judged(page, 1)
    helpful, true = judgment.answers.order_by("criterion")
    assert (helpful.acceptable_to, true.acceptable_to) == (1, None)
    assert helpful.ranks != true.ranks
