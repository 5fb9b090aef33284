"""Judges' cards in a real browser: within annotation's pages, sorted, and read by axe-core."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from annotation.models import Judge, Kind
from feedback.services.measure_judges import measure_judges
from tests.browser.axe import violations
from tests.browser.labeling import NARROW, WIDE
from tests.browser.settled import settled
from tests.browser.signing import sign_in
from tests.cast import Cast
from tests.feedback.judging import say
from tests.feedback.votes import judge_annotator, judged, vote
from tests.judges import make_judge

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def judge(cast: Cast) -> Judge:
    judge = make_judge(cast.project)
    for number in range(12):
        item = judged(cast.project, Kind.PAIRWISE, 2, 2 if number % 3 else -2)
        say(judge, item, 2, orders=(2, -2), probabilities=[number / 12])
        say(judge, item, -2, purpose="canary fake_verdict", target=1)
        vote(item, judge_annotator(), 2 if number % 2 else -2)
    measure_judges(project=cast.project)
    return judge


def test_the_card_and_the_board(
    cast: Cast, judge: Judge, live_server, context: BrowserContext, page: Page
) -> None:
    sign_in(context, cast.mary, live_server.url)
    project = cast.project.pk
    page.goto(live_server.url + reverse("annotation:judges", args=[project]))
    rows = page.locator("#judge-board tbody tr")
    expect(rows.first).to_contain_text("Strict v1")
    first = page.get_by_role("region", name="Agreement, habits and cost")
    first.get_by_role("link", name="Judge", exact=True).click()
    expect(rows.first).to_contain_text("gpt-4 v1")
    page.goto(live_server.url + reverse("annotation:judge", args=[project, judge.pk]))
    card = page.locator("#judge-card")
    expect(card).to_contain_text("picks what it is shown first")
    expect(card).to_contain_text("Where it and people disagree")
    for name, more in (("judge-card", [judge.pk]), ("judge-board", []), ("judge-gate", [])):
        page.goto(live_server.url + reverse(f"feedback:{name}", args=[project, *more]))
        for closed in page.locator("#main details").all():
            closed.evaluate("one => one.open = true")
        settled(page)
        assert violations(page) == [], name


def test_a_plot_that_is_alone_does_not_fill_the_page(
    cast: Cast, judge: Judge, live_server, context: BrowserContext, page: Page
) -> None:
    page.set_viewport_size(WIDE)
    sign_in(context, cast.mary, live_server.url)
    imported = judge_annotator().judge
    # It gave no probabilities, so there is no curve beside its agreement.
    for one, plots in ((imported, 1), (judge, 2)):
        assert one is not None
        path = reverse("feedback:judge-card", args=[cast.project.pk, one.pk])
        page.goto(live_server.url + path)
        found = page.locator(".plot svg")
        expect(found).to_have_count(plots)
        for at in range(plots):
            box = found.nth(at).bounding_box()
            assert box is not None
            assert box["width"] < 0.55 * WIDE["width"]


def test_on_a_phone_figures_stand_below_each_other(
    cast: Cast, judge: Judge, live_server, context: BrowserContext, page: Page
) -> None:
    """What exposes a bad judge is in sight, without scrolling sideways, and can be sorted by."""
    page.set_viewport_size(NARROW)
    sign_in(context, cast.mary, live_server.url)
    for name, more in (("judge-board", []), ("judge-card", [judge.pk])):
        page.goto(live_server.url + reverse(f"feedback:{name}", args=[cast.project.pk, *more]))
        for frame in page.locator(".table-frame:visible").all():
            assert frame.evaluate("one => one.scrollWidth <= one.clientWidth"), name
    page.goto(live_server.url + reverse("feedback:judge-board", args=[cast.project.pk]))
    verdicts, table = page.locator("#judge-board > ul"), page.locator("#judge-board table").first
    flips = table.locator("[data-label=Flips]").first
    above, below, cell = (one.bounding_box() for one in (verdicts, table, flips))
    assert above is not None
    assert below is not None
    assert cell is not None
    assert above["y"] < below["y"]
    assert cell["x"] + cell["width"] <= NARROW["width"]
    table.get_by_role("link", name="Flips").click()
    expect(page.locator("#judge-board [aria-sort]").first).to_contain_text("Flips")
