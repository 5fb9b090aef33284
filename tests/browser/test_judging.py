"""A judge's first day, by keyboard: an endpoint, its model, a judge, ten items, a run, the card.

The endpoint is the scripted server and the worker a real one; everything else is done in the pages,
in Chromium, with keys alone.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import BrowserContext, Locator, Page, expect

from annotation.models import JudgeRun, JudgeVerdict, Judgment, ProviderModel
from tests.browser.axe import violations
from tests.browser.labeling import NARROW, WIDE
from tests.browser.settled import settled
from tests.browser.signing import sign_in
from tests.browser.test_loop import start_worker
from tests.cast import Cast, make_item
from tests.judges import make_judge, make_model
from tests.llm_server import LlmServer
from tests.llm_server.fixtures import StartServer

pytestmark = pytest.mark.django_db(transaction=True)

ITEMS = 24
# For what a worker does: a busy machine is slow, not wrong.
PATIENCE = 180_000


@pytest.fixture
def endpoint(llm_server: StartServer, settings: object) -> LlmServer:
    server = llm_server(key="sk-sesame-4711")
    settings.EGRESS_ORIGINS = [server.url]  # type: ignore[attr-defined]
    return server


@pytest.fixture
def worker(
    process_environment: dict[str, str], endpoint: LlmServer, tmp_path: Path
) -> Iterator[None]:
    environment = process_environment | {
        "PREFLOOP_DATABASE_POOL": "0",
        "PREFLOOP_SWEEP_SECONDS": "1",
        "PREFLOOP_EGRESS_ORIGINS": endpoint.url,
    }
    log = tmp_path / "worker.log"
    process = start_worker("default,judge", environment, log)
    yield
    # SIGTERM would wait for a running task.
    process.send_signal(signal.SIGQUIT)
    process.wait(timeout=60)
    print(log.read_text()[-3000:])


class Hands:
    """Only keys: what cannot take the focus cannot be used."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, target: Locator, key: str = "Enter") -> None:
        target.focus()
        expect(target).to_be_focused()
        self.page.keyboard.press(key)

    def type(self, label: str | re.Pattern[str], text: str) -> None:
        field = self.page.get_by_label(label).first
        field.focus()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def button(self, name: str | re.Pattern[str]) -> None:
        self.press(self.page.get_by_role("button", name=name).first)

    def link(self, name: str | re.Pattern[str]) -> None:
        self.press(self.page.get_by_role("link", name=name).first)


def test_from_an_endpoint_to_a_card(
    cast: Cast, context: BrowserContext, page: Page, live_server, endpoint: LlmServer, worker: None
) -> None:
    for _ in range(ITEMS):
        make_item(cast.project)
    hands = Hands(page)
    sign_in(context, cast.ada, live_server.url)
    page.goto(live_server.url + "/")
    add_the_endpoint(hands, endpoint)
    sign_in(context, cast.rosa, live_server.url)
    page.goto(live_server.url + reverse("annotation:project", args=[cast.project.pk]))
    make_a_judge(hands)
    try_it(hands)
    run_it(hands, endpoint)
    assert JudgeVerdict.objects.filter(purpose="judge", outcome="judged").count() == ITEMS
    assert Judgment.objects.filter(origin="judge").count() == ITEMS
    assert "sesame" not in str(JudgeRun.objects.values())
    hands.link("The judge")
    expect(page.locator("#judge-card")).to_be_visible(timeout=PATIENCE)


def add_the_endpoint(hands: Hands, endpoint: LlmServer) -> None:
    page = hands.page
    hands.link("Providers")
    hands.link("Add a provider")
    hands.type("Name", "Scripted")
    hands.type("Base URL", endpoint.base_url)
    hands.type("Calls at once", "2")
    hands.type("Key", endpoint.key)
    hands.button("Add")
    expect(page.get_by_role("heading", name="Scripted")).to_be_visible()
    assert endpoint.key not in page.content()
    hands.button("Ask the endpoint what it serves")
    hands.button("scripted")
    expect(page.get_by_text("Not probed yet")).to_be_visible()
    hands.button("Probe")
    expect(page.locator("p", has_text="Can give log-probabilities (20)")).to_be_visible(
        timeout=PATIENCE
    )
    page.locator("summary", has_text="Prices").focus()
    page.keyboard.press("Enter")
    hands.type("Dollars for a million tokens in", "1")
    hands.type("Dollars for a million tokens out", "2")
    hands.button("Add a price")
    expect(page.get_by_text("$1.00 in, $2.00 out, a million tokens")).to_be_visible()
    assert ProviderModel.objects.get().can["logprobs"]


def make_a_judge(hands: Hands) -> None:
    page = hands.page
    hands.link("Judges")
    hands.link("New judge")
    expect(page.get_by_text("It can give log-probabilities")).to_be_visible()
    chosen = page.get_by_role("radio", name="MT-Bench pairwise")
    hands.press(chosen, "Space")
    expect(page.get_by_text("A response wins only when it wins in both orders")).to_be_visible()
    expect(page.locator("#preview pre").first).to_contain_text("impartial judge")
    hands.type("Name", "Both orders")
    hands.button("Make the judge")
    expect(page.get_by_role("heading", name="Both orders v1")).to_be_visible()


def try_it(hands: Hands) -> None:
    page = hands.page
    hands.link("Try on ten items")
    hands.button(re.compile("Try it"))
    expect(page.get_by_text("10 of 10 items")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("link", name="run it over the project")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("nobody yet").first).to_be_visible()
    assert JudgeVerdict.objects.filter(purpose="trial").count() == 10
    assert not Judgment.objects.filter(origin="judge").exists()


def run_it(hands: Hands, endpoint: LlmServer) -> None:
    """Slow enough to be paused in the middle; quick after that."""
    page = hands.page
    endpoint.change(sleep_ms=1000)
    hands.link("run it over the project")
    expect(page.get_by_text(f"{ITEMS} items, {2 * ITEMS} calls")).to_be_visible()
    hands.type("How many at most", str(ITEMS - 1))
    expect(page.get_by_text(f"{ITEMS - 1} items")).to_be_visible()
    hands.type("How many at most", str(ITEMS))
    hands.type("Cap, in dollars", "5")
    hands.button("Start")
    expect(page.get_by_text(re.compile(rf"[1-9]\d* of {ITEMS} items"))).to_be_visible(
        timeout=PATIENCE
    )
    hands.button("Pause")
    expect(page.get_by_text("paused", exact=True)).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("button", name="Resume")).to_be_visible(timeout=PATIENCE)
    run = JudgeRun.objects.latest("pk")
    assert 0 < run.verdicts.count() < ITEMS
    assert run.settled > 0
    endpoint.change(sleep_ms=0)
    hands.button("Resume")
    expect(page.get_by_text("read its card")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text(f"{ITEMS} of {ITEMS} items")).to_be_visible()
    expect(page.get_by_text("done", exact=True)).to_be_visible()


def test_a_text_of_ones_own_is_written_with_buttons(
    cast: Cast, context: BrowserContext, page: Page, live_server
) -> None:
    """Placeholders are put in where the writer stands; the preview follows; it is tried unsaved."""
    make_item(cast.project)
    make_model()
    sign_in(context, cast.rosa, live_server.url)
    hands = Hands(page)
    page.goto(live_server.url + reverse("annotation:new-judge-template", args=[cast.project.pk]))
    hands.type("Name", "Ours")
    hands.type("Body", "Which is shorter? ")
    expect(page.get_by_text("The body lacks {prompt}")).to_be_visible()
    for name, problem in (
        ("{prompt}", "lacks {prompt}"),
        ("{response_a}", "lacks {response_a}"),
        ("{response_b}", "Show both"),
    ):
        hands.press(page.get_by_role("button", name=name, exact=True))
        expect(page.get_by_label("Body")).to_be_focused()
        # The buttons come anew with what is found, so a hand waits for that.
        expect(page.locator("#check")).not_to_contain_text(problem)
    expect(page.locator("#check pre").nth(1)).to_contain_text("Which is shorter?")
    hands.button("Try on ten items")
    expect(page.get_by_role("heading", name="Try Draft of Ours v1")).to_be_visible()
    expect(page.get_by_text("1 item, 2 calls")).to_be_visible()
    hands.link("Back to the text")
    expect(page.get_by_label("Body")).to_have_value(re.compile("Which is shorter?"))
    hands.button("Save")
    expect(page.get_by_role("heading", name="Ours v1")).to_be_visible()
    hands.link("Make a judge of it")
    expect(page.get_by_role("radio", name="Own template")).to_be_checked()


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_nothing_is_wider_than_the_screen(
    cast: Cast, context: BrowserContext, page: Page, live_server, size
) -> None:
    item = make_item(cast.project)
    type(item.prompt).objects.update(messages=[{"role": "user", "content": "x" * 300}])
    model = make_model(name="meta-llama/" + "very-long-" * 12, probe_error="503: " + "y" * 300)
    judge = make_judge(cast.project, name="A name that goes on " * 4)
    page.set_viewport_size(size)
    sign_in(context, cast.ada, live_server.url)
    project = cast.project.pk
    found: list[str] = []
    for path in (
        reverse("annotation:providers"),
        reverse("annotation:provider", args=[model.provider_id]),
        reverse("annotation:judges", args=[project]),
        reverse("annotation:new-judge", args=[project]),
        reverse("annotation:judge", args=[project, judge.pk]),
        reverse("annotation:judge-run-form", args=[project, judge.pk]),
    ):
        page.goto(live_server.url + path)
        settled(page)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], (path, width)
        if size == WIDE:
            found += violations(page)
            page.set_viewport_size(size)
    assert not found, "\n\n".join(found)
