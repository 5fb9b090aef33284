"""A scripted expert labels by keys alone in Chromium, against the production server beside it.

Measured inside the page: from the key press that submits until the next item is painted (two
animation frames after it stands in the document). At full speed the expert does not read, so
that the next item is seldom held ready; when reading, it is.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from playwright.sync_api import Page, sync_playwright

from bench.load.labeling import percentiles, say
from bench.load.server import database, port, web
from bench.load.work import make_work
from tests.programs import browser_flags, chromium

KINDS = ("pairwise", "thumbs", "listwise")
ITEMS = 210
READING_ITEMS = 70
READING_SECONDS = 0.5
# In the page: what is on screen, when a key was pressed, and when the item after it was painted.
WATCH = """
(() => {
  const assignment = () => document.querySelector("#answer [name=assignment]")?.value;
  const bench = (window.bench = { milliseconds: [], waiting: [], assignment });
  let pressed = 0;
  let shown;
  addEventListener("keydown", (event) => (pressed = event.timeStamp), true);
  const painted = (at) => {
    bench.milliseconds.push(performance.now() - at);
    bench.waiting.splice(0).forEach((resolve) => resolve());
  };
  const look = () => {
    const now = assignment();
    if (!now || now === shown) return;
    const at = shown === undefined ? null : pressed;
    shown = now;
    if (at !== null) requestAnimationFrame(() => requestAnimationFrame(() => painted(at)));
  };
  new MutationObserver(look).observe(document, { childList: true, subtree: true });
  bench.after = async (count) => {
    while (bench.milliseconds.length < count) await new Promise((go) => bench.waiting.push(go));
  };
})();
"""
STORED = """
    SELECT DISTINCT a.id::text FROM annotation_judgment j
    JOIN annotation_assignment a ON a.id = j.assignment_id
    JOIN annotation_item i ON i.id = a.item_id WHERE i.project_id = %s"""


def run(*, items: int = ITEMS, reading_items: int = READING_ITEMS) -> dict[str, Any]:
    ways = {
        "at full speed": (items, 0.0),
        "reading half a second": (reading_items, READING_SECONDS),
    }
    with database(), web():
        # Before Playwright, beside whose event loop Django refuses to work.
        work = {
            (kind, way): make_work(1, count + 1, kinds=[kind])
            for kind in KINDS
            for way, (count, _) in ways.items()
        }
        figures: dict[str, Any] = {}
        with chromium_context() as open_page:
            for (kind, way), (project, sessions) in work.items():
                expert = Expert(open_page(project, sessions[0]), kind, project, random.Random(7))
                figures[f"{kind}, {way}"] = told = expert.label(*ways[way])
                say(f"{kind}, {way}: {told}")
    return {"key_press_to_next_item": figures}


@contextmanager
def chromium_context() -> Iterator[Any]:
    """Opens the labeling page of a project as one of its labelers."""
    url = f"http://127.0.0.1:{port()}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=browser_flags())

        def open_page(project: int, session: str) -> Page:
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            context.set_default_timeout(60_000)
            context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
            page = context.new_page()
            page.add_init_script(WATCH)
            page.goto(f"{url}/projects/{project}/label/")
            return page

        yield open_page
        browser.close()


@dataclass
class Expert:
    page: Page
    kind: str
    project: int
    random: random.Random

    def label(self, items: int, reading_seconds: float) -> dict[str, Any]:
        page = self.page
        page.wait_for_selector("#answer")
        began = time.monotonic()
        judged = []
        for number in range(1, items + 1):
            page.wait_for_timeout(reading_seconds * 1000)
            judged.append(self.judge(page))
            page.evaluate("count => bench.after(count)", number)
        seconds = time.monotonic() - began
        milliseconds = page.evaluate("bench.milliseconds")
        page.wait_for_selector("#main[data-unsent='0']")
        said = page.locator("#on-the-way").inner_text()
        page.context.close()
        self.check_stored(judged, said)
        return {
            "items": items,
            "shown_again_unanswered": len(judged) - len(set(judged)),
            "judgments_per_minute": round(60 * items / seconds),
        } | percentiles(milliseconds)

    def judge(self, page: Page) -> str:
        """By keys alone. A single thumb submits by itself, or when pressed once more."""
        before = str(page.evaluate("bench.assignment()"))
        if self.kind == "thumbs":
            key = self.random.choice("12")
            page.keyboard.press(key)
            if page.evaluate("bench.assignment()") == before:
                page.keyboard.press(key)
            return before
        page.keyboard.press("o" if self.kind == "listwise" else self.random.choice("1234567"))
        page.keyboard.press("Enter")
        return before

    def check_stored(self, judged: list[str], said: str) -> None:
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            stored = {row[0] for row in connection.execute(STORED, [self.project])}
        if stored != set(judged):
            raise AssertionError(f"Not stored: {set(judged) - stored}; the page said: {said}")
