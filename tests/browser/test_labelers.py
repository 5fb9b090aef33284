"""A researcher finds the labeler who answers by side, leaves them out, and takes it back."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from annotation.models import Assignment, GoldAnswer
from core import jobs
from core.models import Job
from feedback.models import Preference
from feedback.services.policy import current_policy
from feedback.services.resolve_items import resolve_items
from tests.browser.axe import violations
from tests.browser.signing import sign_in
from tests.cast import Cast, annotator_of, make_item
from tests.feedback.votes import vote, worker

pytestmark = pytest.mark.django_db(transaction=True)


def judge(cast: Cast) -> None:
    """Workers a and b answer by content; Bob always takes the first, whichever it is."""
    bob = annotator_of(cast.bob)
    for number in range(24):
        item, content = make_item(cast.project), 2 if number % 3 else -2
        order = [number % 2, 1 - number % 2]
        first = 1 if order[0] == 0 else -1
        for name in "ab":
            vote(item, name, content, shown_order=order, active_ms=700 * number + 4000)
        vote(item, bob, first, shown_order=order, active_ms=1200)
        if number % 2:
            vote(item, bob, -first, shown_order=order[::-1], occasion="probe 1")
            GoldAnswer.objects.create(item=item, criterion="overall", expected={"strength": 1})
    resolve_items(project=cast.project)


def run_jobs() -> None:
    for job in Job.objects.filter(state=Job.State.QUEUED, kind="resolve_items"):
        jobs.run(job.pk)


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth - innerWidth <= 0"))


def test_out_and_back(cast: Cast, context: BrowserContext, page: Page, live_server) -> None:
    judge(cast)
    bob, project = annotator_of(cast.bob), cast.project
    sign_in(context, cast.rosa, live_server.url)
    page.goto(live_server.url + reverse("feedback:agreement", args=[project.pk]))
    page.get_by_role("link", name="Labelers").click()
    expect(page.locator(".verdict")).to_contain_text(
        f"1 of 3 labelers needs a look: {bob.pseudonym}"
    )
    expect(page.get_by_text("Bob", exact=True)).to_have_count(0)
    assert violations(page) == []
    assert fits(page)

    page.get_by_role("link", name=bob.pseudonym).click()
    expect(page.get_by_text("Prefers what is shown first in 100 %")).to_be_visible()
    expect(page.get_by_text("When sides are swapped, keeps the side")).to_be_visible()
    assert violations(page) == []
    assert fits(page)

    page.get_by_role("link", name="Leave out…").click()
    expect(page.locator(".verdict")).to_contain_text("decisions would change")
    expect(page.get_by_role("heading", name="Agreement among people")).to_be_visible()
    assert violations(page) == []
    assert fits(page)
    assert current_policy(project).version == 1

    page.get_by_role("button", name="Leave them out").click()
    expect(page.get_by_text("is left out: policy version 2")).to_be_visible()
    run_jobs()
    assert {row.support_people for row in Preference.objects.newest()} == {2}
    page.get_by_role("button", name="Undo: count fully again").click()
    expect(page.get_by_text("counts fully: policy version 3")).to_be_visible()
    run_jobs()
    assert {row.support_people for row in Preference.objects.newest()} == {3}


def test_a_part_of_the_managers_page(
    cast: Cast, context: BrowserContext, page: Page, live_server
) -> None:
    """It comes by itself, with names; which items are gold it does not tell."""
    judge(cast)
    gold = make_item(cast.project, is_gold=True)
    vote(gold, worker("a"), 1, occasion=Assignment.GOLD)
    sign_in(context, cast.mary, live_server.url)
    page.goto(live_server.url + reverse("annotation:work", args=[cast.project.pk]))
    table = page.get_by_role("region", name="Labelers")
    expect(table.get_by_text("Bob", exact=True)).to_be_visible()
    expect(table.get_by_role("row")).to_have_count(4)
    assert not re.search(rf"items?/{gold.pk}\b", page.content())
    table.get_by_role("link", name=worker("a").pseudonym).click()
    expect(page.get_by_role("heading", name="All figures")).to_be_visible()
    assert not re.search(rf"items?/{gold.pk}\b", page.content())
