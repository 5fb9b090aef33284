"""Asks axe-core whether a page keeps to WCAG 2.2 AA, light and dark, wide and on a phone."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from playwright.sync_api import Page

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SIZES = ((1280, 800), (360, 740))

# What is wider than its place takes focus a moment after the frame that shows it so; the page's own
# clock tells when that has been.
SIZED = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 250)))"
# The API's page is Swagger UI, which is not ours.
ASK = """
async (options) => {
  const { violations } = await axe.run({ exclude: [["#swagger-ui"]] }, options);
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 300)} :: ${failureSummary}`));
}
"""


@cache
def _script() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page) -> list[str]:
    """Everything at both sizes; of the other colours, at one, only what colours can break."""
    found: list[str] = []
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(f"{_script()}; 0")
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate(SIZED)
        found += _ask(page, "light", {"runOnly": {"type": "tag", "values": RULES}})
    found += _ask(page, "dark", {"runOnly": {"type": "rule", "values": ["color-contrast"]}})
    page.emulate_media(color_scheme="light")
    return found


def _ask(page: Page, scheme: Any, options: dict[str, Any]) -> list[str]:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    size = page.viewport_size
    assert size is not None
    return [f"{page.url} {size['width']} {scheme}: {one}" for one in page.evaluate(ASK, options)]
