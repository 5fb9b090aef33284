"""A researcher's way through the pages: make a project, import, look, add people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from annotation.models import Item, Project
from core import jobs
from core.models import Job, User
from tests.browser.signing import sign_in
from tests.cast import Cast, make_item

pytestmark = pytest.mark.django_db(transaction=True)


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_from_an_empty_instance_to_items(
    cast: Cast, context: BrowserContext, page: Page, live_server, tmp_path: Path
) -> None:
    User.objects.filter(pk=cast.rosa.pk).update(can_create_projects=True)
    sign_in(context, cast.rosa, live_server.url)
    page.goto(live_server.url + reverse("annotation:projects"))
    page.get_by_role("link", name="New project").click()
    page.get_by_label("Name", exact=True).fill("Poems")
    page.get_by_label("Guidelines").fill("Read **both**.")
    expect(page.locator("#guidelines-preview strong")).to_have_text("both")
    page.get_by_role("button", name="Make project").click()
    expect(page.get_by_role("heading", name="Nothing to judge yet")).to_be_visible()

    page.get_by_role("link", name="Import data").click()
    page.get_by_label("Format", exact=True).select_option("pairs")
    good = {"prompt": "Why?", "chosen": "Because.", "rejected": "No."}
    page.get_by_label("File", exact=True).set_input_files(
        write(tmp_path / "set.jsonl", good, {"prompt": "?"})
    )
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    jobs.run(Job.objects.get().pk)
    expect(page.get_by_text("1 of 2 rows can be imported, 1 has a problem.")).to_be_visible()
    expect(page.get_by_role("cell", name="is missing")).to_be_visible()

    page.get_by_role("button", name="Import 1 row").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    jobs.run(Job.objects.latest("pk").pk)
    page.get_by_role("link", name="See the items").click()
    page.get_by_role("link", name="Why?").click()
    expect(page.get_by_role("heading", name="Responses")).to_be_visible()
    expect(page.get_by_role("cell", name="better")).to_be_visible()
    page.get_by_role("button", name="Reopen").click()
    expect(page.get_by_text("in the queue").first).to_be_visible()
    assert Item.objects.get(project=Project.objects.get(name="Poems")).is_open


def test_a_job_can_be_cancelled_from_its_page(
    cast: Cast, context: BrowserContext, page: Page, live_server, tmp_path: Path
) -> None:
    sign_in(context, cast.rosa, live_server.url)
    page.goto(live_server.url + reverse("annotation:import", args=[cast.project.pk]))
    page.get_by_label("File", exact=True).set_input_files(
        write(tmp_path / "set.jsonl", {"prompt": "Why?"})
    )
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled")).to_be_visible()
    expect(page.get_by_text("What was imported before stays")).to_be_visible()
    assert Job.objects.get().state == Job.State.CANCELLED


def test_a_manager_pauses_somebody_with_a_reason(
    cast: Cast, context: BrowserContext, page: Page, live_server
) -> None:
    sign_in(context, cast.mary, live_server.url)
    page.goto(live_server.url + reverse("annotation:people", args=[cast.project.pk]))
    row = page.get_by_role("row").filter(has_text="Bob")
    row.get_by_role("button", name="Pause").click()
    dialog = page.locator(".dialog:popover-open")
    dialog.get_by_label("Reason").fill("A talk first")
    dialog.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("row").filter(has_text="Bob")).to_contain_text("A talk first")


@pytest.mark.parametrize("width", [360, 1920])
def test_no_page_is_wider_than_its_window(
    cast: Cast, context: BrowserContext, page: Page, live_server, width: int
) -> None:
    make_item(cast.project)
    item = Item.objects.get()
    Project.objects.update(
        name="A name that is as long as names may be, which is eighty characters, see" + "e" * 8
    )
    sign_in(context, cast.mary, live_server.url)
    page.set_viewport_size({"width": width, "height": 800})
    for name, args in [
        ("project", []), ("items", []), ("item", [item.pk]), ("import", []), ("people", []),
        ("settings", []),
    ]:  # fmt: skip
        path = reverse(f"annotation:{name}", args=[cast.project.pk, *args])
        page.goto(live_server.url + path)
        beyond = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert beyond <= 0, path


def test_on_a_phone_the_pages_of_a_project_are_a_menu(cast: Cast, page: Page, live_server) -> None:
    sign_in(page.context, cast.mary, live_server.url)
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(live_server.url + reverse("annotation:items", args=[cast.project.pk]))
    pages = page.get_by_role("navigation", name="Project")
    expect(pages.get_by_role("link")).to_have_count(0)
    pages.locator("summary", has_text="Items").click()
    expect(pages.get_by_role("link", name="Items")).to_have_attribute("aria-current", "page")
    pages.get_by_role("link", name="People").click()
    expect(page.get_by_role("heading", name="People", exact=True)).to_be_visible()
    expect(pages.locator("summary")).to_have_text("People")
