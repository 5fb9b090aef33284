"""How well labelers work, from rows to pages: what counts, who sees it, and real answers."""

from __future__ import annotations

import csv
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.models import Annotator, Assignment, GoldAnswer, Item, Kind, Project
from core import jobs
from core.models import Job, User
from feedback.models import Policy, QualityReport
from feedback.quality_records import NAMES
from feedback.selectors import labelers as labelers_module
from feedback.selectors.labelers import Labeler, labelers_of
from feedback.services.measure_quality import measure_quality, request_quality
from feedback.services.policy import current_policy
from tests.api import Api
from tests.cast import Cast, annotator_of, make_item, make_user
from tests.feedback.votes import judge_annotator, judged, vote, worker
from tests.real_data import real_data_folder

PAGES = ["quality", "quality-table"]


def measured(project: Project, policy: Policy | None = None) -> dict[int, Labeler]:
    """By annotator's id."""
    found = labelers_of(project, policy or current_policy(project))
    assert found is not None
    return {one.annotator.pk: one for one in found.rows}


def figure(project: Project, annotator: Annotator, key: str) -> dict[str, Any]:
    return dict(measured(project)[annotator.pk].figures[key])


def answer_all(project: Project, count: int = 12) -> list[Item]:
    """Lena and Bob's worker agree; worker c always answers the opposite."""
    return [judged(project, Kind.PAIRWISE, 2, 1, -2) for _ in range(count)]


def test_agreement_with_the_others(cast: Cast) -> None:
    answer_all(cast.project)
    rows = measured(cast.project)
    share = {name: rows[worker(name).pk].figures["agreement"] for name in "abc"}
    # Others of a are b and c, who never agree: nobody's consensus. Others of c are a and b.
    assert (share["a"]["answers"], share["c"]["answers"]) == (0, 12)
    assert (share["c"]["value"], share["a"]["value"]) == (0, None)
    assert rows[worker("c").pk].figures["opposed"]["value"] == 1


def test_prompts_of_different_kinds_are_not_taken_for_one(cast: Cast) -> None:
    """And one prompt that is asked in two ways is one."""
    for _ in range(6):
        judged(cast.project, Kind.PAIRWISE, 2, 1)
        thumbs = judged(cast.project, Kind.THUMBS, 1, 1)
    both = make_item(cast.project, kind=Kind.PAIRWISE, prompt=thumbs.prompt)
    for name in "ab":
        vote(both, name, -1)
    share = figure(cast.project, worker("a"), "agreement")
    assert (share["answers"], share["clusters"]) == (13, 12)


def test_judges_have_no_say_and_no_row(cast: Cast) -> None:
    for item in answer_all(cast.project):
        vote(item, judge_annotator(), 3)
    assert {one.annotator.judge_id for one in measured(cast.project).values()} == {None}
    assert figure(cast.project, worker("a"), "agreement")["answers"] == 0


def test_who_is_left_out_has_no_say_and_is_measured(cast: Cast) -> None:
    answer_all(cast.project)
    policy = current_policy(cast.project)
    policy.weights = {str(worker("c").pk): 0.0}
    rows = measured(cast.project, policy)
    assert rows[worker("a").pk].figures["agreement"]["value"] == 1
    assert rows[worker("c").pk].figures["agreement"]["value"] == 0
    assert (rows[worker("c").pk].weight, rows[worker("a").pk].weight) == (0, 1)


def test_sides_are_as_shown(cast: Cast) -> None:
    """Always the first shown, whichever position that is."""
    for number in range(12):
        order = [number % 2, 1 - number % 2]
        strength = 1 if order[0] == 0 else -1
        vote(make_item(cast.project), "a", strength, shown_order=order)
    first = figure(cast.project, worker("a"), "first_side")
    assert (first["value"], first["answers"]) == (1, 12)
    for _ in range(12):
        vote(make_item(cast.project), "b", 1, shown_order=[0, 1])
        vote(make_item(cast.project), "b", 1, shown_order=[1, 0])
        vote(make_item(cast.project), "c", 0)
        vote(make_item(cast.project), "c", -1, shown_order=[0, 1])
        vote(make_item(cast.project), "c", -1, shown_order=[1, 0])
    (concern,) = measured(cast.project)[worker("a").pk].concerns
    assert concern.words.startswith("Prefers what is shown first in 100 %")


def test_lists_are_seen_as_shown(cast: Cast) -> None:
    """Shown second, third, first; the one shown first is ranked best each time."""
    for _ in range(10):
        item = make_item(cast.project, kind=Kind.LISTWISE)
        vote(item, "a", [3, 1, 2], shown_order=[1, 2, 0])
    assert figure(cast.project, worker("a"), "first_side")["value"] == 1
    assert figure(cast.project, worker("a"), "same_answer")["value"] == 1


@pytest.mark.parametrize("occasion", [Assignment.MAIN, Assignment.GOLD])
def test_gold(cast: Cast, occasion: str) -> None:
    for number in range(12):
        item = make_item(cast.project, is_gold=occasion == Assignment.GOLD)
        GoldAnswer.objects.create(item=item, criterion="overall", expected={"strength": 2})
        vote(item, "a", 1 if number % 4 else -1, occasion=occasion)
    assert figure(cast.project, worker("a"), "gold")["value"] == 0.75
    counted = figure(cast.project, worker("a"), "ties")["answers"]
    assert counted == (12 if occasion == Assignment.MAIN else 0)


def test_gold_answered_twice_is_one_answer(cast: Cast) -> None:
    """The hidden gold item goes before what was answered when it was none."""
    for _ in range(10):
        item = make_item(cast.project)
        vote(item, "a", -1)
        GoldAnswer.objects.create(item=item, criterion="overall", expected={"strength": 2})
        vote(item, "a", 1, occasion=Assignment.GOLD)
    gold = figure(cast.project, worker("a"), "gold")
    assert (gold["value"], gold["answers"]) == (1, 10)


@pytest.mark.parametrize(
    ("kind", "first", "again", "same"),
    [
        (Kind.PAIRWISE, 2, 1, 1.0),
        (Kind.PAIRWISE, 2, -1, 0.0),
        (Kind.THUMBS, 1, 0, 0.0),
        (Kind.LISTWISE, [1, 2, 3], [1, 3, 2], 2 / 3),
    ],
)
def test_probes(cast: Cast, kind: str, first: Any, again: Any, same: float) -> None:
    for _ in range(10):
        item = make_item(cast.project, kind=kind)
        order = list(range(item.item_responses.count()))
        vote(item, "a", first, shown_order=order)
        vote(item, "a", again, shown_order=order[::-1], occasion="probe 1")
    found = figure(cast.project, worker("a"), "same_again")
    assert (found["value"], found["answers"]) == (pytest.approx(same, abs=1e-6), 10)
    flips = figure(cast.project, worker("a"), "flips")
    assert flips["value"] == (None if kind != Kind.PAIRWISE else 1 - same)


def test_speed_and_skips(cast: Cast) -> None:
    bob = annotator_of(cast.bob)
    for seconds in range(1, 13):
        vote(make_item(cast.project), bob, 1, active_ms=1000 * seconds)
    for _ in range(4):
        Assignment.objects.create(
            item=make_item(cast.project), annotator=bob, shown_order=[0, 1],
            takes_slot=False, state=Assignment.State.SKIPPED,
        )  # fmt: skip
    speed = figure(cast.project, bob, "seconds")
    assert (speed["value"], speed["lower_quartile"], speed["upper_quartile"]) == (6.5, 3.75, 9.25)
    assert figure(cast.project, bob, "skips")["value"] == 0.25


def test_reviews_are_nobodys_work(cast: Cast) -> None:
    for _ in range(10):
        vote(make_item(cast.project), annotator_of(cast.rita), 1, occasion=Assignment.REVIEW)
    assert measured(cast.project) == {}


def test_the_sentence(cast: Cast, client: Client) -> None:
    client.force_login(cast.mary)
    address = reverse("feedback:quality", args=[cast.project.pk])
    assert b"Nobody has judged here yet" in client.get(address).content
    for _ in range(12):
        judged(cast.project, Kind.PAIRWISE, 1, 1)
        vote(make_item(cast.project), "c", 1)
    page = client.get(address).content.decode()
    # All take the first: that is no habit of one of them.
    assert "Half of the labelers prefer what is shown first" in page
    assert "Nobody of 3 needs a look" in page
    for _ in range(60):
        vote(make_item(cast.project), "c", -1)
    page = client.get(address).content.decode()
    assert "1 of 3 labelers needs a look" in page
    assert f"{worker('c').pseudonym} (" in page


@pytest.mark.parametrize("name", PAGES)
def test_empty_few_and_many(cast: Cast, client: Client, name: str) -> None:
    client.force_login(cast.rita)
    address = reverse(f"feedback:{name}", args=[cast.project.pk])
    assert client.get(address).status_code == 200
    judged(cast.project, Kind.LISTWISE, [1, 2, 3])
    assert "too few" in client.get(address).content.decode().lower()
    answer_all(cast.project)
    reply = client.get(address)
    assert reply.status_code == 200
    assert worker("a").pseudonym in reply.content.decode()
    assert reply["Cache-Control"].startswith("max-age=0")


def address_of(cast: Cast, annotator: Annotator) -> str:
    return reverse("feedback:labeler", args=[cast.project.pk, annotator.pk])


@pytest.mark.parametrize("kind", Kind.values)
def test_a_labelers_own_page(cast: Cast, client: Client, kind: str) -> None:
    """With enough answers for every plot, and times that are apart."""
    value = {"pairwise": 1, "listwise": [1, 3, 2], "thumbs": 1}[kind]
    for number in range(45):
        item = make_item(cast.project, kind=kind)
        for name in "ab":
            vote(item, name, value, active_ms=900 * number + 500)
    start = timezone.now()
    for number, one in enumerate(Assignment.objects.order_by("pk")):
        moment = start + timedelta(seconds=number)
        Assignment.objects.filter(pk=one.pk).update(finished_at=moment)
    client.force_login(cast.rosa)
    reply = client.get(address_of(cast, worker("a")))
    page = reply.content.decode()
    assert reply.status_code == 200
    assert "Agreement over time" in page
    assert "Speed over time" in page
    assert all(name in page for name in NAMES.values())


def test_a_labeler_of_another_project_is_not_found(cast: Cast, client: Client) -> None:
    client.force_login(cast.ada)
    assert client.get(address_of(cast, worker("elsewhere"))).status_code == 404
    assert client.get(address_of(cast, judge_annotator())).status_code == 404


def test_who_may_see_it(cast: Cast, client: Client) -> None:
    answer_all(cast.project)
    addresses = [reverse(f"feedback:{name}", args=[cast.project.pk]) for name in PAGES]
    addresses.append(address_of(cast, worker("a")))
    told = {cast.mallory: 404, cast.bob: 403, cast.lena: 403, cast.rita: 200, cast.mary: 200}
    for user, status in told.items():
        client.force_login(user)
        assert {client.get(one).status_code for one in addresses} == {status}
    table = reverse("feedback:quality-csv", args=[cast.project.pk])
    for user, status in {cast.bob: 403, cast.rita: 403, cast.rosa: 200}.items():
        client.force_login(user)
        assert client.get(table).status_code == status


@pytest.mark.parametrize(("username", "sees"), [("rita", False), ("rosa", False), ("mary", True)])
def test_names_are_for_those_who_manage_people(
    cast: Cast, client: Client, username: str, sees: bool
) -> None:
    bob = annotator_of(cast.bob)
    for _ in range(10):
        vote(make_item(cast.project), bob, 1)
    client.force_login(getattr(cast, username))
    pages = [reverse("feedback:quality", args=[cast.project.pk]), address_of(cast, bob)]
    if username != "rita":
        pages.append(reverse("feedback:quality-csv", args=[cast.project.pk]))
    for page in pages:
        assert ("Bob" in client.get(page).content.decode()) is sees


def test_the_table_as_a_file(cast: Cast, client: Client) -> None:
    answer_all(cast.project)
    imported = Annotator.objects.create(source="=cmd()", external_id="1")
    vote(make_item(cast.project), imported, 1)
    client.force_login(cast.mary)
    reply = client.get(reverse("feedback:quality-csv", args=[cast.project.pk]))
    rows = list(csv.DictReader(reply.content.decode().splitlines()))
    assert len(rows) == 4 * len(NAMES)
    mine = [row for row in rows if row["annotator"] == str(worker("c").uuid)]
    (agreement,) = [row for row in mine if row["figure"] == "agreement"]
    assert (agreement["value"], agreement["n"], agreement["weight"]) == ("0.0", "12", "1.0")
    assert {row["name"] for row in rows} == {"tests", "'=cmd()"}


@pytest.fixture
def is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelers_module, "MEASURED_AT_ONCE", 5)


@pytest.mark.usefixtures("is_large")
def test_a_large_project_is_measured_by_a_job(cast: Cast, client: Client) -> None:
    answer_all(cast.project)
    client.force_login(cast.rita)
    address = reverse("feedback:quality", args=[cast.project.pk])
    assert b"Not measured yet" in client.get(address).content
    for _ in range(2):
        asked = client.post(reverse("feedback:measure-quality", args=[cast.project.pk]))
        assert asked.status_code == 302
    (job,) = Job.objects.filter(kind="measure_quality")
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.result["answers"]) == ("succeeded", 36)
    page = client.get(address).content.decode()
    assert "As of " in page
    assert worker("a").pseudonym in page
    assert client.get(address_of(cast, worker("a"))).status_code == 200


@pytest.mark.usefixtures("is_large")
def test_a_large_project_is_measured_after_agreement(cast: Cast) -> None:
    """By itself, but not each minute: it takes long."""
    answer_all(cast.project)
    jobs.run(jobs.enqueue("measure_agreement", project_id=cast.project.pk).pk)
    (job,) = Job.objects.filter(kind="measure_quality")
    jobs.run(job.pk)
    assert request_quality(project=cast.project) is None
    QualityReport.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert request_quality(project=cast.project) is not None


def test_small_projects_need_no_job(cast: Cast) -> None:
    answer_all(cast.project)
    assert request_quality(project=cast.project, by=cast.rosa) is None


def test_the_kept_figures_are_those_of_now(cast: Cast) -> None:
    answer_all(cast.project)
    live = {one.annotator.pk: one.record for one in measured(cast.project).values()}
    report = measure_quality(project=cast.project)
    report.refresh_from_db()
    assert {one["annotator"]: one for one in report.figures["labelers"]} == live


def test_by_the_api(cast: Cast) -> None:
    answer_all(cast.project)
    path = f"projects/{cast.project.pk}/quality"
    for user, status in ((cast.mallory, 404), (cast.bob, 403), (cast.rita, 403)):
        assert Api(user).get(path).status_code == status
    found = Api(cast.rosa).get(path).json()
    assert (found["level"], found["minimum"], len(found["labelers"])) == (0.95, 10, 3)
    (mine,) = [one for one in found["labelers"] if one["id"] == worker("c").pk]
    assert mine["figures"]["agreement"]["value"] == 0
    assert (mine["answers"], mine["weight"], mine["uuid"]) == (12, 1.0, str(worker("c").uuid))
    assert (
        "Prefers what is shown first in 0 % of decided answers (0 % to 24 %); half would be "
        "even, 100 % is usual here."
    ) in mine["concerns"]


@pytest.mark.usefixtures("is_large")
def test_by_the_api_where_it_was_not_measured(cast: Cast) -> None:
    answer_all(cast.project)
    path = f"projects/{cast.project.pk}/quality"
    assert Api(cast.rosa).get(path).json()["code"] == "not_measured"
    job = Api(cast.rosa).post(path).json()
    jobs.run(job["id"])
    assert len(Api(cast.rosa).get(path).json()["labelers"]) == 3


def test_real_answers(db: None) -> None:
    """124 workers of the llmfao crowd: some always take the left, which their project found."""
    manager: User = make_user("mary", is_admin=True)
    call_command(
        "import_data", "--create-project", "llmfao", "--as", manager.username,
        "--format", "llmfao", str(real_data_folder() / "llmfao"), verbosity=0,
    )  # fmt: skip
    project = Project.objects.get()
    rows = measured(project).values()
    assert (len(rows), sum(one.record["answers"] for one in rows)) == (124, 8931)
    known = [one for one in rows if one.figures["first_side"]["value"] is not None]
    lefts = [one for one in known if one.figures["first_side"]["low"] > 0.66]
    assert 1 <= len(lefts) <= 15
    assert all("first_side" in [why.key for why in one.concerns] for one in lefts)
    assert not any(why.key == "run" for one in rows for why in one.concerns)
    busiest = max(rows, key=lambda one: one.record["answers"])
    assert busiest.figures["kappa"]["clusters"] <= 13
