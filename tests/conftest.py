"""Fixtures that every part of the suite may use. The database is prepared in tests/settings.py."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.db import connection
from hypothesis import settings as hypothesis_settings

from tests import programs
from tests.cast import Cast, make_cast
from tests.llm_server.fixtures import llm_server, smollm2_folder, smollm2_server  # noqa: F401

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

# A busy machine is slow, not wrong: time limits are the tests' own.
hypothesis_settings.register_profile("prefloop", deadline=None)
hypothesis_settings.load_profile("prefloop")
BROWSER_PATIENCE = 60_000  # milliseconds


@pytest.fixture
def process_environment(transactional_db: None) -> dict[str, str]:
    """The environment for a real web or worker process that shares this test's database."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return kept | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": _url_of_test_database(),
        "PREFLOOP_DATA_DIR": str(settings.DATA_DIR),
        "SECRET_KEY": settings.SECRET_KEY,
        "OMP_NUM_THREADS": "1",
    }


def _url_of_test_database() -> str:
    url = os.environ["DATABASE_URL"]
    before, _, query = url.partition("?")
    server = before.rpartition("/")[0]
    return f"{server}/{connection.settings_dict['NAME']}" + (f"?{query}" if query else "")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One real Chromium for each test process."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=BROWSER_PATIENCE)
    path = programs.chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=programs.browser_flags())
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def outside_the_loop_of_the_browser(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hides the loop of a browser that an earlier test of this process opened.

    Playwright leaves its loop marked as running in this thread while it sleeps between calls;
    `asyncio.run` would refuse to work in every test that comes after it.
    """
    loop = asyncio._get_running_loop()
    if loop is None or "browser" in request.fixturenames:
        yield
        return
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor with cookies of their own, at 1280 x 800."""
    from tests.browser.signing import leave

    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(BROWSER_PATIENCE)
    yield context
    leave(context)


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that fails its test when a script breaks or the content policy is violated."""
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: (
            problems.append(message.text) if "Content Security Policy" in message.text else None
        ),
    )
    yield page
    assert not problems


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()
