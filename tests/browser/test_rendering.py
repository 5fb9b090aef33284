"""What people and models wrote, in a real browser: it runs nothing and loads nothing, with the
page's content policy and without it, and very long text leaves the page usable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page, expect

from annotation.models import Item
from tests.browser.signing import leave, sign_in
from tests.cast import Cast, make_item, make_prompt, make_response
from tests.payloads import PAYLOADS

pytestmark = pytest.mark.django_db(transaction=True)

HIDDEN = "pay\u202eevil\u202c \u2066x\u2069 zero\u200b\u200bwidth \U000e0041tag \ufeffmark"
# What an executed payload would do: every way of `alert` is heard.
LISTEN = """
window.executed = [];
for (const name of ["alert", "confirm", "prompt", "msgbox"]) {
  window[name] = (...words) => { window.executed.push(name); };
}
"""


@pytest.fixture(params=[False, True], ids=["with policy", "without policy"])
def watched(request: Any, browser: Browser) -> Iterator[tuple[BrowserContext, list[str]]]:
    """A context, and the addresses outside that it asked for."""
    context = browser.new_context(bypass_csp=request.param)
    context.add_init_script(LISTEN)
    outside: list[str] = []

    def note(request: Any) -> None:
        host = urlsplit(request.url).hostname
        if host not in ("localhost", "127.0.0.1"):
            outside.append(request.url)

    context.on("request", note)
    yield context, outside
    leave(context)


def talk_of(texts: list[str]) -> list[dict[str, Any]]:
    """A conversation in which each text is said by a person, a model and two tools."""
    messages: list[dict[str, Any]] = []
    for text in texts:
        call = {"type": "function", "function": {"name": text[:200], "arguments": text}}
        messages += [
            {"role": "user", "content": text},
            {"role": "assistant", "content": text, "tool_calls": [call]},
            {"role": "tool", "name": text[:200], "content": text},
        ]
    return messages


def item_of(cast: Cast, prompt: list[dict[str, Any]], response: str) -> Item:
    row = make_prompt(cast.project)
    type(row).objects.filter(pk=row.pk).update(messages=prompt)
    item = make_item(cast.project, kind="thumbs", prompt=row)
    item.item_responses.update(response=make_response(row, response, generator="model z"))
    return item


def open_label(context: BrowserContext, cast: Cast, url: str) -> Page:
    sign_in(context, cast.lena, url)
    page = context.new_page()
    page.goto(url + reverse("annotation:label", args=[cast.project.pk]))
    return page


def test_no_payload_runs_or_loads(cast: Cast, watched, live_server) -> None:
    context, outside = watched
    texts = [text.replace("\x00", "") for text in PAYLOADS]
    assert len(texts) >= 100
    item_of(cast, talk_of([*texts, HIDDEN]), "\n\n".join(texts))
    page = open_label(context, cast, live_server.url)
    page.locator(".earlier > summary").click()
    expect(page.locator(".message-user")).to_have_count(len(texts) + 1)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_timeout(300)
    assert page.evaluate("window.executed") == []
    assert outside == []
    assert page.evaluate(DANGEROUS) == []
    words = page.locator("#prompt").inner_text()
    for mark in ("⟦U+202E⟧", "⟦U+2066⟧", "⟦U+200B ×2⟧", "⟦U+E0041⟧", "⟦U+FEFF⟧"):
        assert mark in words
    assert "<script>alert(1)</script>" in words


# Elements and attributes that nothing which was written may bring into its own place.
DANGEROUS = """
() => [...document.querySelectorAll(".message *")].filter((element) =>
  /^(script|style|iframe|object|embed|link|meta|base|form|input|svg|img|video|audio)$/i.test(element.tagName)
  || [...element.attributes].some(({ name, value }) =>
    /^(on|hx-|data-|style|id|src|srcset|action|formaction)/i.test(name)
    || (/href/i.test(name) && !/^(https?:|mailto:)/i.test(value)))
).map((element) => element.outerHTML.slice(0, 200))
"""


def test_the_watch_would_hear_a_payload(watched) -> None:
    context, outside = watched
    page = context.new_page()
    page.set_content("<img src=x onerror=alert(1)><img src='http://evil.example/pixel.png'>")
    page.wait_for_function("window.executed.length === 1")
    assert outside == ["http://evil.example/pixel.png"]


def test_long_text_leaves_the_page_usable(cast: Cast, page: Page, live_server) -> None:
    item_of(cast, [{"role": "user", "content": "x" * 2_000_000}], "word " * 8_000)
    item_of(cast, [{"role": "user", "content": "Code?"}], f"```python\n{'f(x)  # 1' * 11_000}\n```")
    item_of(cast, [{"role": "user", "content": "Lines?"}], "line\n" * 400_000)
    sign_in(page.context, cast.lena, live_server.url)
    page.goto(live_server.url + reverse("annotation:label", args=[cast.project.pk]))
    for done in range(3):
        expect(page.locator("#today")).to_have_text(f"{done} today")
        expect(page.locator("#answer")).to_be_attached()
        page.keyboard.press("1")
        expect(page.locator("[name=thumb-overall][value='1']")).to_be_checked()
        assert page.evaluate("document.documentElement.scrollWidth") == 1280
        page.keyboard.press("Enter")
    expect(page.get_by_text("All done here")).to_be_visible()


def test_each_line_finds_its_direction(cast: Cast, page: Page, live_server) -> None:
    hebrew, persian = "שלום לכולם", "فارسی"
    text = f"English first.\n{hebrew}\n\n- {persian}\n- two\n\n> {persian}"
    item_of(cast, [{"role": "user", "content": "Hi"}], text)
    sign_in(page.context, cast.lena, live_server.url)
    page.goto(live_server.url + reverse("annotation:label", args=[cast.project.pk]))
    left, right, column = page.evaluate(LINES)
    assert left["left"] == pytest.approx(column["left"], abs=1)
    assert right["right"] == pytest.approx(column["right"], abs=1)
    for block in ("ul", "blockquote"):
        expect(page.locator(f"#response-1 {block}")).to_have_css("direction", "rtl")


LINES = """
() => {
  const paragraph = document.querySelector("#response-1 .prose p");
  const box = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    const { left, right } = range.getBoundingClientRect();
    return { left, right };
  };
  const { left, right } = paragraph.getBoundingClientRect();
  return [box(paragraph.firstChild), box(paragraph.lastChild), { left, right }];
}
"""
