"""Adjudicating by key, and the researcher's pages of feedback, in a real browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import connection
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from annotation.models import Assignment, Kind, Side
from core import jobs
from core.models import Job
from feedback.models import Adjudication, Export, Snapshot
from feedback.selectors.review_queue import in_order, waiting
from feedback.services.resolve_items import resolve_items
from tests.browser.axe import violations
from tests.browser.signing import sign_in
from tests.cast import Cast
from tests.feedback.votes import judged

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def worker() -> Iterator[None]:
    """Runs queued jobs as they come, as a worker does."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.1):
            for job in Job.objects.due():
                jobs.run(job.pk)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def test_adjudicating_all_kinds_by_key(
    cast: Cast, context: BrowserContext, page: Page, live_server
) -> None:
    pair = judged(cast.project, Kind.PAIRWISE, 3, -3)
    judged(cast.project, Kind.THUMBS, 1, 0)
    judged(cast.project, Kind.LISTWISE, [1, 2, 3], [3, 2, 1])
    resolve_items(project=cast.project)
    sign_in(context, cast.rita, live_server.url)
    page.goto(live_server.url + reverse("feedback:adjudication", args=[cast.project.pk]))
    keys = {Kind.PAIRWISE: "2", Kind.THUMBS: "1", Kind.LISTWISE: "o"}
    votes = page.locator(".vote")
    for kind in [row.item.kind for row in in_order(waiting(cast.project))]:
        expect(page.locator(f".item-{kind} [data-step='blind']")).to_be_visible()
        expect(votes).to_have_count(0)
        page.keyboard.press(keys[Kind(kind)])
        page.keyboard.press("Enter")
        expect(votes).to_have_count(2)
        expect(page.get_by_text("model a")).to_have_count(0)
        page.keyboard.press("n")
        expect(page.get_by_text("model a")).to_be_visible()
        page.keyboard.press("r")
        page.keyboard.type(f"Because of the {kind}.")
        page.keyboard.press("Escape")
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_have_text("Decided.")
    expect(page.get_by_text("Nothing waits")).to_be_visible()
    rows = Adjudication.objects.filter(note__startswith="Because of the", named=True)
    assert rows.exclude(blind=None).count() == 3
    review = Assignment.objects.get(item=pair, occasion="review")
    assert rows.get(item=pair).strength == (2 if review.shown_order[0] == 0 else -2)
    page.keyboard.press("u")
    expect(page.locator("#said")).to_contain_text("Taken back")
    assert waiting(cast.project).count() == 1


def test_nothing_moves_when_the_votes_come(
    cast: Cast, context: BrowserContext, page: Page, live_server
) -> None:
    judged(cast.project, Kind.PAIRWISE, 3, -3)
    resolve_items(project=cast.project)
    sign_in(context, cast.rita, live_server.url)
    page.goto(live_server.url + reverse("feedback:adjudication", args=[cast.project.pk]))
    places = [page.locator(name) for name in ("#prompt", "#response-1", "#response-2", "#submit")]
    before = [place.bounding_box() for place in places]
    assert None not in before
    page.keyboard.press("5")
    page.keyboard.press("Enter")
    expect(page.locator(".vote")).to_have_count(2)
    assert [place.bounding_box() for place in places] == before
    # A reload in the middle loses nothing.
    page.reload()
    expect(page.locator(".vote")).to_have_count(2)
    expect(page.locator("[name='strength-overall']:checked")).to_have_value("-1")
    page.keyboard.press("n")
    expect(page.locator(".writers")).to_be_visible()
    page.keyboard.press("m")
    assert violations(page) == []


def test_putting_off_excluding_and_sending_back(
    cast: Cast, context: BrowserContext, page: Page, live_server
) -> None:
    first, second = (judged(cast.project, Kind.PAIRWISE, 3, -3) for _ in range(2))
    resolve_items(project=cast.project)
    sign_in(context, cast.rita, live_server.url)
    page.goto(live_server.url + reverse("feedback:adjudication", args=[cast.project.pk]))
    page.keyboard.press("s")
    expect(page.locator("#said")).to_contain_text("Put off")
    for keys, words in (("mx", "Excluded."), ("ma", "Sent back: 1 more")):
        page.keyboard.press("4")
        page.keyboard.press("Enter")
        expect(page.locator(".vote")).to_have_count(2)
        for key in keys:
            page.keyboard.press(key)
        expect(page.locator("#said")).to_contain_text(words)
    expect(page.get_by_text("Nothing waits")).to_be_visible()
    assert Adjudication.objects.get(item=second).verdict == "excluded"
    assert Adjudication.objects.get(item=first).verdict == "sent back"


def test_measure_freeze_export(
    cast: Cast, context: BrowserContext, page: Page, live_server, worker: None
) -> None:
    for number in range(20):
        side = Side.HELD_OUT if number % 4 == 0 else Side.TRAIN
        judged(cast.project, Kind.PAIRWISE, 2 - number % 3, 2 - number % 4, side=side)
    sign_in(context, cast.rosa, live_server.url)
    home = live_server.url + reverse("annotation:project", args=[cast.project.pk])
    page.goto(home)
    tabs = page.get_by_role("navigation", name="Project")
    tabs.get_by_role("link", name="Agreement").click()
    page.get_by_role("button", name="Measure now").click()
    expect(page.locator(".verdict")).to_contain_text("People agree")
    expect(page.locator("svg.chart")).to_have_count(2)
    tabs.get_by_role("link", name="Snapshots").click()
    page.get_by_label("Note").fill("first try")
    page.get_by_role("button", name="Freeze a snapshot").click()
    expect(page.get_by_role("heading", name="Snapshot 1")).to_be_visible()
    assert Snapshot.objects.get().note == "first try"
    page.get_by_role("button", name="Check the files").click()
    expect(page.get_by_text("to the byte, what was frozen")).to_be_visible()
    page.get_by_role("link", name="Export", exact=True).click()
    page.get_by_label("Format").select_option("parquet")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith("snapshot-1-pairs.parquet")
    assert Export.objects.get().rows
    page.goto(home)
    expect(page.get_by_text("In snapshots")).to_be_visible()
