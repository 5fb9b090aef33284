"""Every page of the product, and the states of the pages where people work, as axe-core sees it."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from annotation.models import Kind, Protocol
from core.models import User
from tests.api import World, make_run, make_world
from tests.browser.axe import violations
from tests.browser.settled import settled
from tests.browser.signing import sign_in
from tests.cast import Cast, make_item
from tests.core.test_routes import routes
from tests.feedback.votes import judged
from training.models import TrainingRun

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "\n\n".join(
    [
        "# Heading\n\nText with `code`, **bold**, a [link](https://e.example/x) and $x^2$.",
        "$$\\sum_{i=1}^{100} \\frac{a_i b_i c_i d_i}{e_i} = " + " + ".join("xyzuvw") * 8 + "$$",
        "```python\ndef f(x):  # comment\n    return 'x' * 100 + '" + "y" * 200 + "'\n```",
        "| " + " | ".join("abcdefghijklmn") + " |\n|" + "---|" * 14 + "\n" + "| cell " * 14 + "|",
        "> quoted\n\n1. one\n2. two\n\n![a cat](https://e.example/cat.png)",
        "word " * 400,
    ]
)
CALL = {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Rain?"},
    {"role": "assistant", "content": "I look.", "tool_calls": [CALL]},
    {"role": "tool", "name": "weather", "content": '{"rain": true}'},
    {"role": "assistant", "content": "Yes."},
    {"role": "user", "content": LONG},
]


def pages_of(world: World, user: User) -> list[str]:
    """The paths of all whole pages that the user may see: of the routes that are there now."""
    client = Client()
    client.force_login(user)
    numbers = {
        "project_id": world.cast.project.pk,
        "item_id": world.item.pk,
        "job_id": world.job.pk,
        # One that runs; the world's own is over, and without the evaluation that would be there.
        "run_id": TrainingRun.objects.latest("pk").pk,
        "snapshot_id": world.snapshot.pk,
        "annotator_id": world.assignment.annotator_id,
        "user_id": world.cast.lena.pk,
        "number": world.versions[0].number,
        "assignment_id": world.assignment.pk,
        "provider_id": world.judge_call.judge.model.provider_id,
        "model_id": world.judge_call.judge.model_id,
        "judge_id": world.judge_call.judge_id,
        "judge_run_id": world.judge_call.run_id,
        "call_id": world.judge_call.pk,
        "template_id": world.judge_template.pk,
    }
    return [path for path in _paths(numbers) if _is_page(client, path)]


def _paths(numbers: dict[str, int]) -> list[str]:
    found = []
    for route, _, _ in routes():
        path = "/" + route.replace("<str:name>", "ipo")  # a training method
        for name, number in numbers.items():
            path = path.replace(f"<int:{name}>", str(number))
        if "<" not in path and "label" not in path and "sign-out" not in path:
            found.append(path)
    return sorted(set(found))


def _is_page(client: Client, path: str) -> bool:
    reply = client.get(path)
    is_html = reply.headers.get("Content-Type", "").startswith("text/html")
    return reply.status_code == 200 and is_html and b"<html" in reply.content


@pytest.fixture
def world(cast: Cast) -> World:
    project = cast.project
    Protocol.objects.update(guidelines=LONG)
    judged(project, Kind.LISTWISE, [1, 2, 3], [1, 3, 2])
    judged(project, Kind.THUMBS, 1, 1)
    world = make_world(cast)
    config = {"seed": 0, "adapter": "full", "hyperparameters": {"beta": 0.1}}
    make_run(world.snapshot, world.cast.ada)
    TrainingRun.objects.update(config=config)
    return world


def check(page: Page, url: str, paths: list[str]) -> list[str]:
    found: list[str] = []
    for path in paths:
        page.goto(url + path)
        settled(page)
        found += violations(page)
    return found


@pytest.mark.parametrize(("who", "least"), [("ada", 30), ("lena", 5)])
def test_every_page(
    world: World, context: BrowserContext, page: Page, live_server, who: str, least: int
) -> None:
    """An admin sees all; a labeler's pages show less, and other words."""
    user = getattr(world.cast, who)
    paths = pages_of(world, user)
    sign_in(context, user, live_server.url)
    found = check(page, live_server.url, paths)
    assert len(paths) >= least, paths
    assert not found, "\n\n".join(found)


def test_pages_before_one_is_signed_in(page: Page, live_server, db: None) -> None:
    found = check(page, live_server.url, ["/", "/sign-in/", "/no/such/page/"])
    assert not found, "\n\n".join(found)


PANELS = (("?", "#keys"), ("g", "#guidelines"), ("s", "#skip-dialog"), ("f", "#flag-dialog"))


@pytest.mark.parametrize("kind", ["pairwise", "listwise", "thumbs"])
def test_the_labeling_page_in_all_its_states(
    cast: Cast, context: BrowserContext, page: Page, live_server, kind: str
) -> None:
    Protocol.objects.update(guidelines=LONG, reasons=["clear", "wrong"])
    item = make_item(cast.project, kind=kind)
    type(item.prompt).objects.filter(pk=item.prompt_id).update(messages=TALK)
    item.responses.update(messages=[{"role": "assistant", "content": LONG}])
    sign_in(context, cast.lena, live_server.url)
    page.goto(live_server.url + reverse("annotation:label", args=[cast.project.pk]))
    expect(page.locator("#keys-list dt")).not_to_have_count(0)
    page.locator(".earlier > summary").click()
    found = violations(page)
    for key, panel in PANELS:
        page.keyboard.press(key)
        expect(page.locator(panel)).to_be_visible()
        found += violations(page)
        page.keyboard.press("Escape")
        expect(page.locator(panel)).not_to_be_visible()
    for key in {"pairwise": "2r", "listwise": "2tae", "thumbs": "2w"}[kind]:
        page.keyboard.press(key)
    found += violations(page)
    assert not found, "\n\n".join(found)


def test_the_labeling_page_without_work(
    cast: Cast, context: BrowserContext, page: Page, live_server
) -> None:
    sign_in(context, cast.lena, live_server.url)
    page.goto(live_server.url + reverse("annotation:label", args=[cast.project.pk]))
    expect(page.get_by_text("All done here")).to_be_visible()
    assert not violations(page)
