"""Adjudicating by key, and the researcher's pages of feedback, in a real browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import connection
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from annotation.models import Kind, Side
from core import jobs
from core.models import Job
from feedback.models import Adjudication, Export, Preference, Snapshot
from feedback.selectors.adjudication import order_for
from feedback.selectors.preferences import contested
from feedback.services.resolve_items import resolve_items
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
    for kind in [row.item.kind for row in contested(cast.project)]:
        expect(page.locator(f".item-{kind}")).to_be_visible()
        expect(page.get_by_text("What others answered")).to_have_count(0)
        page.keyboard.press(keys[Kind(kind)])
        page.keyboard.press("Enter")
        expect(page.get_by_text("What others answered")).to_be_visible()
        expect(page.locator(".annotator")).to_have_count(2)
        page.keyboard.press("r")
        page.locator("#comment").fill(f"Because of the {kind}.")
        page.keyboard.press("Escape")
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_have_text("Decided.")
    expect(page.get_by_text("Nothing is contested")).to_be_visible()
    assert Adjudication.objects.filter(note__startswith="Because of the").count() == 3
    row = Preference.objects.newest().get(item=pair)
    assert row.outcome["strength"] == (2.0 if order_for(cast.rita, row)[0] == 0 else -2.0)


def test_excluding_and_putting_off(
    cast: Cast, context: BrowserContext, page: Page, live_server
) -> None:
    for _ in range(2):
        judged(cast.project, Kind.PAIRWISE, 3, -3)
    resolve_items(project=cast.project)
    first, second = contested(cast.project)
    sign_in(context, cast.rita, live_server.url)
    page.goto(live_server.url + reverse("feedback:adjudication", args=[cast.project.pk]))
    page.keyboard.press("s")
    expect(page.locator(f"#answer[action*='/{second.pk}/']")).to_be_visible()
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    expect(page.get_by_text("What others answered")).to_be_visible()
    page.keyboard.press("f")
    expect(page.locator("#said")).to_have_text("Excluded.")
    expect(page.locator(f"#answer[action*='/{first.pk}/']")).to_be_visible()
    assert Preference.objects.newest().get(item=second.item_id).state == "excluded"


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
