"""A manager's day: who is paused and why, what is held and flagged, who holds what, and gold."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect

from annotation.models import Assignment, Flag, Item, Membership, PauseRule, Project
from annotation.services.claim_item import claim_item
from annotation.services.flag_item import flag_item
from annotation.services.membership import pause_member
from annotation.services.skip_item import skip_item
from core.models import User
from tests.browser.axe import violations
from tests.browser.signing import sign_in
from tests.cast import Cast, annotator_of, make_item

pytestmark = pytest.mark.django_db(transaction=True)

REASON = "Agreed with 6 of 20 gold items; the rule asks for 60 %."
LONG_NOTE = "I cannot tell which one is better, because " + "unbroken" * 40 + " and so on. " * 40


def lease(item: Item, user: User) -> Assignment:
    return Assignment.objects.create(
        item=item, annotator=annotator_of(user), shown_order=[0, 1], takes_slot=True,
        lease_expires_at=timezone.now() + timedelta(minutes=15), opened_at=timezone.now(),
    )  # fmt: skip


@pytest.fixture
def day(cast: Cast) -> tuple[Item, Item]:
    """Bob is paused; one item is held, one leaks an identity; Lena has one open."""
    cache.clear()
    Project.objects.update(skip_limit=1)
    held, leaking = make_item(cast.project), make_item(cast.project)
    skip_item(assignment=lease(held, cast.lena), reason=LONG_NOTE)
    Project.objects.update(skip_limit=3)
    flag_item(assignment=lease(leaking, cast.bob), kind="identity", note="As GPT-4, I …")
    make_item(cast.project)
    assert claim_item(project=cast.project, user=cast.lena) is not None
    member = Membership.objects.get(project=cast.project, user=cast.bob)
    pause_member(membership=member, actor=None, reason=REASON)
    return held, leaking


def test_a_manager_sees_to_all_that_waits(
    cast: Cast, context: BrowserContext, page: Page, live_server, day: tuple[Item, Item]
) -> None:
    held, leaking = day
    sign_in(context, cast.mary, live_server.url)
    page.goto(live_server.url + reverse("core:home"))
    page.get_by_role("region", name="Waits for you as a manager").get_by_role("link").click()
    expect(page.get_by_text(REASON)).to_be_visible()
    expect(page.get_by_role("heading", name="At work now")).to_be_visible()
    expect(page.get_by_role("heading", name="Items that take long")).to_be_visible()
    expect(page.get_by_text("too little was judged")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0

    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("may work again")).to_be_visible()
    assert Membership.objects.get(user=cast.bob).restored_at is not None
    leak = page.locator(f"#item-{leaking.pk}")
    expect(leak).to_contain_text("identity leak")
    leak.get_by_role("button", name="Close it").click()
    expect(page.get_by_text(f"Item {leaking.pk} is closed")).to_be_visible()
    page.locator(f"#item-{held.pk}").get_by_role("button", name="Back into the queue").click()
    expect(page.get_by_text("Nothing waits for your decision")).to_be_visible()
    assert not Flag.objects.filter(settled_at=None).exists()
    page.get_by_role("button", name="Release item").click()
    expect(page.get_by_text("is free again")).to_be_visible()
    assert not Assignment.objects.filter(state=Assignment.State.LEASED).exists()


def test_rules_shares_and_gold_are_set_up(
    cast: Cast, context: BrowserContext, page: Page, live_server
) -> None:
    item = make_item(cast.project)
    sign_in(context, cast.mary, live_server.url)
    page.goto(live_server.url + reverse("annotation:item", args=[cast.project.pk, item.pk]))
    page.get_by_role("link", name="Make gold").click()
    page.get_by_label("Overall").select_option("B is better")
    assert violations(page) == []
    page.get_by_role("button", name="Make gold").click()
    expect(page.get_by_text("none is handed out")).to_be_visible()
    page.get_by_role("link", name="Change the share").click()
    page.get_by_label("Gold items, of 100").fill("5")
    expect(page.get_by_text("about 5 are gold")).to_be_visible()
    page.get_by_role("button", name="Save settings").click()
    page.get_by_label("Agrees with gold less often than").fill("60")
    page.get_by_role("button", name="Save rules").click()
    expect(page.get_by_text("Pause rules saved")).to_be_visible()
    assert violations(page) == []
    assert PauseRule.objects.get().threshold == 0.6
    assert Project.objects.get().gold_share == 5


def test_who_is_paused_reads_why_and_whom_to_ask(
    cast: Cast, context: BrowserContext, page: Page, live_server, day: tuple[Item, Item]
) -> None:
    sign_in(context, cast.bob, live_server.url)
    for name in ("label", "project"):
        page.goto(live_server.url + reverse(f"annotation:{name}", args=[cast.project.pk]))
        expect(page.get_by_role("heading", name="Your work here is paused")).to_be_visible()
        expect(page.get_by_text(REASON)).to_be_visible()
        expect(page.get_by_text("ask Mary")).to_be_visible()
        assert violations(page) == []
