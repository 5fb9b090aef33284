"""Launching and comparing runs in a real browser: the live estimate, the keyboard, and axe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from feedback.models import Snapshot
from tests.browser.axe import violations
from tests.browser.signing import sign_in
from tests.cast import Cast
from tests.training.alignment.tiny import write_model
from tests.training.conftest import QUICK, TINY, snapshot
from training.models import MetricPoint, Sweep, TrainingRun
from training.services import queue_run, queue_sweep, start_recipe
from training.services.recipe import rlhf_stages

if TYPE_CHECKING:
    from pytest_django.live_server_helper import LiveServer

__all__ = ["snapshot"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def tiny_model(settings: Any) -> None:
    write_model(settings.DATA_DIR / "models" / TINY, positions=2048)


def test_the_estimate_follows_what_is_typed(
    context: BrowserContext, page: Page, live_server: LiveServer, cast: Cast, snapshot: Snapshot
) -> None:
    sign_in(context, cast.ada, live_server.url)
    page.goto(live_server.url + reverse("training:launch", args=[cast.project.pk]))
    page.get_by_label("Base model").select_option(TINY)
    verdict = page.locator("#estimate .verdict")
    page.get_by_label("Max steps").fill("1")
    expect(verdict).to_contain_text("for 1 step.")
    page.get_by_label("Epochs").fill("1000")
    page.get_by_label("Max steps").fill("77")
    expect(verdict).to_contain_text("for 77 steps.")
    page.get_by_label("Method").select_option("simpo")
    expect(page.get_by_label("Gamma beta ratio")).to_be_visible()
    assert page.get_by_label("Max steps").input_value() == "77"
    page.locator("summary", has_text="Sweep over a grid").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Vary").first.select_option("beta")
    page.get_by_label("Values 1").fill("2.0, 2.5")
    expect(verdict).to_contain_text("the largest of 2 runs")
    page.get_by_label("Values 1").press("Enter")
    expect(page.get_by_role("button", name="Stop all")).to_be_visible()
    assert Sweep.objects.get().runs.count() == 2


def test_on_the_way_back_the_method_is_the_one_of_the_fields(
    context: BrowserContext, page: Page, live_server: LiveServer, cast: Cast, snapshot: Snapshot
) -> None:
    """Restored by the browser, it stood above the fields of another."""
    sign_in(context, cast.ada, live_server.url)
    page.goto(live_server.url + reverse("training:launch", args=[cast.project.pk]))
    page.get_by_label("Method").select_option("simpo")
    expect(page.get_by_label("Gamma beta ratio")).to_be_visible()
    page.goto(live_server.url + reverse("training:project-runs", args=[cast.project.pk]))
    page.go_back()
    built_for = page.locator("[name=built_for]").input_value()
    assert built_for.startswith(page.get_by_label("Method").input_value() + ":")


def test_a_recipes_form_follows_the_method_of_its_policy(
    context: BrowserContext, page: Page, live_server: LiveServer, cast: Cast, snapshot: Snapshot
) -> None:
    sign_in(context, cast.ada, live_server.url)
    page.goto(live_server.url + reverse("training:new-recipe", args=[cast.project.pk]))
    page.get_by_label("Base model").select_option(TINY)
    stages = page.locator("#estimate")
    page.locator("[name=policy-epochs]").fill("1000")
    page.locator("[name=policy-max_steps]").fill("77")
    expect(stages).to_contain_text("Proximal policy optimisation, 77 steps")
    page.get_by_label("Method of the third stage").select_option("grpo")
    expect(page.locator("[name=policy-method-clip_low]")).to_be_attached()
    assert page.locator("[name=policy-max_steps]").input_value() == "77"
    assert page.locator("[name=policy-samples_per_prompt]").input_value() == "8"
    expect(stages).to_contain_text("Group relative policy optimisation, 77 steps")
    page.locator("[name=policy-max_new_tokens]").fill("900")
    expect(stages).to_contain_text("exceed “Max length” 1024")
    # Where the page is scrolled to, its header covers half of some field.
    page.evaluate("scrollTo(0, 0)")
    assert violations(page) == []


def test_what_holds_the_focus_keeps_it_while_the_page_follows_the_run(
    context: BrowserContext, page: Page, live_server: LiveServer, cast: Cast, snapshot: Snapshot
) -> None:
    run = queue_run(
        project=cast.project, snapshot=snapshot, criterion="overall", base_model=TINY,
        method="dpo", config=QUICK, created_by=cast.ada,
    )  # fmt: skip
    MetricPoint.objects.create(run=run, step=1, name="loss", value=0.7)  # of an earlier attempt
    sign_in(context, cast.ada, live_server.url)
    page.goto(live_server.url + reverse("training:run", args=[cast.project.pk, run.pk]))
    stop = page.get_by_role("button", name="Stop")
    for held in (page.get_by_role("link", name="Data (CSV)").first, stop):
        held.focus()
        for _ in range(2):
            held.evaluate("shown => shown.dataset.old = ''")
            expect(page.locator("[data-old]")).to_have_count(0)
            expect(held).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("The run is stopped.")).to_be_visible()


def test_a_run_is_launched_back_changed_and_launched_again(
    context: BrowserContext, page: Page, live_server: LiveServer, cast: Cast, snapshot: Snapshot
) -> None:
    """As the browser's own memory of the page brings it back: with the key that was sent."""
    sign_in(context, cast.ada, live_server.url)
    page.goto(live_server.url + reverse("training:launch", args=[cast.project.pk]))
    page.get_by_label("Base model").select_option(TINY)
    key = page.locator("[name=client_key]").input_value()
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.go_back()
    page.locator("[name=client_key]").evaluate("(field, key) => field.value = key", key)
    page.get_by_label("Max steps").fill("7")
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_text("was launched from this form already")).to_be_visible()
    expect(page.get_by_label("Max steps")).to_have_value("7")
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    assert TrainingRun.objects.count() == 2
    assert TrainingRun.objects.latest("pk").config["max_steps"] == 7


def test_a_refused_form_begins_where_it_is_to_be_mended(
    context: BrowserContext, page: Page, live_server: LiveServer, cast: Cast, snapshot: Snapshot
) -> None:
    sign_in(context, cast.ada, live_server.url)
    page.goto(live_server.url + reverse("training:launch", args=[cast.project.pk]))
    page.get_by_label("Epochs").fill("-1")
    page.get_by_label("Max steps").fill("0")
    page.get_by_label("Max steps").press("Enter")
    expect(page.get_by_label("Epochs")).to_be_focused()
    expect(page.get_by_text("Enter a number from 0.001 to 1,000.")).to_be_visible()


def test_the_settings_of_a_method_fit_a_phone(
    context: BrowserContext, page: Page, live_server: LiveServer, cast: Cast
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    sign_in(context, cast.ada, live_server.url)
    page.goto(live_server.url + reverse("training:method", args=["ppo"]))
    frame = page.locator(".table-frame")
    assert frame.evaluate("frame => frame.scrollWidth - frame.clientWidth") == 0
    expect(frame.get_by_text("kl_controller", exact=True)).to_be_visible()


def test_sweeps_recipes_and_comparisons_are_accessible(
    context: BrowserContext, page: Page, live_server: LiveServer, cast: Cast, snapshot: Snapshot
) -> None:
    asked: dict[str, Any] = {
        "project": cast.project, "snapshot": snapshot, "criterion": "overall",
        "base_model": TINY, "created_by": cast.ada,
    }  # fmt: skip
    sweep = queue_sweep(method="dpo", config=QUICK, grid={"beta": [0.1, 0.3]}, **asked)
    for run in sweep.runs.all():
        MetricPoint.objects.create(run=run, step=6, name="held_out_accuracy", value=0.6)
    recipe = start_recipe(stages=rlhf_stages(sft={}, reward={}, policy={}), **asked)
    sign_in(context, cast.ada, live_server.url)
    numbers = "&".join(f"run={run.pk}" for run in sweep.runs.all())
    project = cast.project.pk
    for path in (
        reverse("training:project-runs", args=[project]),
        reverse("training:sweep", args=[project, sweep.pk]),
        reverse("training:recipe", args=[project, recipe.pk]),
        reverse("training:new-recipe", args=[project]),
        f"{reverse('training:compare', args=[project])}?{numbers}",
    ):
        page.goto(live_server.url + path)
        assert violations(page) == []
