"""The pages of judges: cards, board, gate, and asking more people."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation.models import Item, Judge, Kind
from annotation.services.claim_item import claim_item
from core.models import Job, User
from feedback.models import JudgeGate, JudgeStanding
from feedback.selectors.judges import judge_rows
from feedback.selectors.opposed_items import opposed_items
from feedback.services.measure_judges import measure_judges
from feedback.services.resolve_items import resolve_items
from tests.api import Api
from tests.cast import Cast, make_project
from tests.feedback.judging import annotator_of_judge, ended_job, make_run, say
from tests.feedback.votes import judge_annotator, judged, vote
from tests.judges import make_judge

N = 12
GATE = {"min_items": 10, "margin": 0.3, "max_flips": "", "max_parse_errors": "",
        "max_injection": "", "must_measure": [], "from_version": 1}  # fmt: skip


@pytest.fixture
def judge(cast: Cast) -> Judge:
    """Against people on 4 items of 12, always for what is shown first; and GPT-4 from a file."""
    judge = make_judge(cast.project)
    for number in range(N):
        item = judged(cast.project, Kind.PAIRWISE, 2, 2)
        say(judge, item, -2 if number < 4 else 2, orders=(2, -2))
        vote(item, judge_annotator(), 2)
    return judge


def page(cast: Cast, user: User, name: str, *more: int, **query: Any) -> Any:
    client = Client()
    client.force_login(user)
    address = reverse(f"feedback:{name}", args=[cast.project.pk, *more])
    return client.get(address, query)


def words(reply: Any) -> str:
    return str(reply.text).replace("\N{NO-BREAK SPACE}", " ")


def post(cast: Cast, user: User, name: str, *more: int, **fields: Any) -> Any:
    client = Client()
    client.force_login(user)
    return client.post(reverse(f"feedback:{name}", args=[cast.project.pk, *more]), fields)


def test_the_card(cast: Cast, judge: Judge) -> None:
    assert "Not measured yet" in page(cast, cast.rosa, "judge-card", judge.pk).text
    measure_judges(project=cast.project)
    text = words(page(cast, cast.rosa, "judge-card", judge.pk))
    assert "Agrees with people less than people with each other: 67 %" in text
    assert "picks what it is shown first 100 % of the time" in text
    assert "answers otherwise in the other order in 100 %: do not count it." in text
    assert "start a run with injected answers" in text
    assert "Its answers are kept and count for nothing" in text


def test_a_part_of_another_page(cast: Cast, judge: Judge) -> None:
    measure_judges(project=cast.project)
    client = Client(headers={"HX-Request": "true"})
    client.force_login(cast.rosa)
    for name, more in (("judge-card", [judge.pk]), ("judge-board", []),
                       ("judge-ask-more-preview", [judge.pk])):  # fmt: skip
        reply = client.get(reverse(f"feedback:{name}", args=[cast.project.pk, *more]))
        assert reply.status_code == 200
        assert "<html" not in reply.text


def test_the_board_is_sorted_by_the_server(cast: Cast, judge: Judge) -> None:
    measure_judges(project=cast.project)

    def order(sort: str) -> list[str]:
        rows = page(cast, cast.rosa, "judge-board", sort=sort).context["rows"]
        return [str(one.judge) for one in rows]

    assert order("-agreement") == order("nonsense") == ["gpt-4 v1", "Strict v1"]
    assert order("agreement") == ["Strict v1", "gpt-4 v1"]
    # GPT-4's flips are not known: it is last both ways.
    assert order("flips") == order("-flips") == ["Strict v1", "gpt-4 v1"]
    assert order("-judge") == ["Strict v1", "gpt-4 v1"]
    text = page(cast, cast.rosa, "judge-board", sort="flips").text
    assert 'aria-sort="ascending"' in text
    assert "came from a file" in text


def test_the_board_has_a_second_table(cast: Cast, judge: Judge) -> None:
    measure_judges(project=cast.project)
    reply = page(cast, cast.rosa, "judge-board", sort="-kappa")
    tables = reply.context["tables"]
    names = [one.name for one in tables[1].headings]
    assert names == ["Judge", "No ties", "People, no ties", "Kappa", "Again the same",
                     "Own family", "Calibration", "Failed", "Seconds"]  # fmt: skip
    row, cells = next(one for one in tables[1].rows if one[0].judge == judge)
    assert len(cells) == len(names) - 1
    # Four verdicts of twelve are against everybody: chance cannot be told from so little.
    assert [name for name, _ in cells] == names[1:]
    told = [cell.value for _, cell in cells]
    assert (told[0], told[2], row.numbers["kappa"]) == ("67 %", "0.00", 0)
    assert "start a run that asks again" in words(reply).lower()
    assert 'aria-sort="descending"' in reply.text


def test_more_judges_take_no_more_reads(
    cast: Cast, judge: Judge, django_assert_num_queries: Any
) -> None:
    measure_judges(project=cast.project)
    with CaptureQueriesContext(connection) as few:
        judge_rows(cast.project)
    for number in range(5):
        make_run(make_judge(cast.project, name=f"Judge {number}"))
        make_run(judge)
    item = judge.verdicts.earliest("pk").item
    vote(item, judge_annotator("gpt-5"), 2)
    with django_assert_num_queries(len(few)):
        assert len(judge_rows(cast.project)) == 8


def test_an_empty_board_says_what_to_do(cast: Cast) -> None:
    assert "No judges to compare" in page(cast, cast.rosa, "judge-board").text
    assert post(cast, cast.rosa, "measure-judges").status_code == 400


def test_all_figures_as_files(cast: Cast, judge: Judge) -> None:
    measure_judges(project=cast.project)
    rows = list(csv.DictReader(io.StringIO(page(cast, cast.rosa, "judge-board-csv").text)))
    flips = {row["judge"]: row["value"] for row in rows if row["figure"] == "flips"}
    assert flips == {"Strict": "1.0", "gpt-4": ""}
    judges = json.loads(page(cast, cast.rosa, "judge-board-json").content)["judges"]
    assert {one["name"]: one["gate"] for one in judges} == {"Strict": "closed", "gpt-4": "closed"}


def test_measuring_is_a_job(cast: Cast, judge: Judge) -> None:
    for _ in range(2):
        assert post(cast, cast.rosa, "measure-judges").status_code == 302
    assert Job.objects.filter(kind="measure_judges").count() == 1
    assert "Measuring the judges" in page(cast, cast.rosa, "judge-board").text


def test_a_manager_sets_the_gate(cast: Cast, judge: Judge) -> None:
    measure_judges(project=cast.project)
    assert page(cast, cast.mary, "judge-gate").status_code == 200
    assert post(cast, cast.mary, "judge-gate", **GATE).status_code == 302
    gate = JudgeGate.objects.latest("pk")
    assert (gate.version, gate.max_flips, gate.must_measure) == (2, None, [])
    standing = JudgeStanding.objects.filter(is_newest=True).values_list("judge__name", "is_open")
    assert dict(standing) == {"Strict": False, "gpt-4": True}
    assert "Its gate is open" in page(cast, cast.rosa, "judge-board").text
    assert post(cast, cast.mary, "judge-gate", **{**GATE, "margin": 0.2}).status_code == 409
    assert post(cast, cast.mary, "judge-gate", **{**GATE, "margin": 2}).status_code == 422


def test_roles(cast: Cast, judge: Judge) -> None:
    measure_judges(project=cast.project)
    for name, more in (("judge-card", [judge.pk]), ("judge-board", []), ("judge-board-csv", []),
                       ("judge-board-json", []), ("judge-gate", []),
                       ("judge-ask-more-preview", [judge.pk])):  # fmt: skip
        assert page(cast, cast.mallory, name, *more).status_code == 404
        assert page(cast, cast.bob, name, *more).status_code == 403
        assert page(cast, cast.rita, name, *more).status_code == 403
    assert page(cast, cast.rosa, "judge-gate").status_code == 403
    assert post(cast, cast.rosa, "judge-gate", **GATE).status_code == 403
    assert post(cast, cast.rita, "judge-ask-more", judge.pk, more=1).status_code == 403
    assert page(cast, cast.rosa, "judge-card", judge.pk + 1000).status_code == 404


def test_a_judge_of_another_project_is_not_here(cast: Cast, judge: Judge) -> None:
    other = make_judge(make_project(name="Another"), name="Elsewhere")
    assert page(cast, cast.rosa, "judge-card", other.pk).status_code == 404


def test_more_people_are_asked_where_it_disagrees(cast: Cast, judge: Judge) -> None:
    Item.objects.update(open_slots=0)
    opposed = opposed_items(cast.project, judge)
    assert (opposed.all, len(opposed.items)) == (4, 4)
    text = page(cast, cast.rosa, "judge-ask-more-preview", judge.pk).text
    assert "On 4 items it answers otherwise" in text
    assert post(cast, cast.rosa, "judge-ask-more", judge.pk, more=2).status_code == 302
    asked = Item.objects.filter(pk__in=opposed.items)
    assert set(asked.values_list("overlap", "open_slots")) == {(4, 2)}
    # They wait for people now: pressing again asks nobody twice.
    assert post(cast, cast.rosa, "judge-ask-more", judge.pk, more=2).status_code == 400
    assert set(asked.values_list("overlap", "open_slots")) == {(4, 2)}
    assert post(cast, cast.rosa, "judge-ask-more", judge.pk, more=9).status_code == 400


def test_closed_items_open_again(cast: Cast, judge: Judge) -> None:
    """As an import leaves them: closed, with all of their slots free."""
    Item.objects.update(closed_at=timezone.now())
    assert post(cast, cast.rosa, "judge-ask-more", judge.pk, more=1).status_code == 302
    opened = Item.objects.filter(closed_at=None)
    assert set(opened.values_list("overlap", "open_slots")) == {(2, 2)}
    assert opened.count() == 4


def test_people_who_are_asked_see_nothing_of_the_judge(cast: Cast, judge: Judge) -> None:
    """Neither what it answered nor that it did, on the page and by API."""
    Item.objects.update(open_slots=0)
    post(cast, cast.rosa, "judge-ask-more", judge.pk, more=1)
    claimed = claim_item(project=cast.project, user=cast.bob)
    assert claimed is not None
    client = Client()
    client.force_login(cast.bob)
    shown = client.get(reverse("annotation:label", args=[cast.project.pk])).text
    given = json.dumps(Api(cast.bob).post(f"projects/{cast.project.pk}/claim").json())
    assert str(claimed.item.item_responses.all()[0].response.messages[0]["content"]) in shown
    hidden = (judge.name, "gpt-4", annotator_of_judge(judge).pseudonym, "judge", "disagree")
    for secret in hidden:
        assert secret.lower() not in given.lower()
    for secret in hidden[:3]:
        assert secret not in shown


def test_the_api(cast: Cast, judge: Judge) -> None:
    rosa, mary, path = Api(cast.rosa), Api(cast.mary), f"projects/{cast.project.pk}"
    assert rosa.get(f"{path}/judge-cards").json()["judges"][0]["figures"] is None
    assert rosa.post(f"{path}/judge-cards").status_code == 202
    measure_judges(project=cast.project)
    cards = {one["name"]: one for one in rosa.get(f"{path}/judge-cards").json()["judges"]}
    assert (cards["Strict"]["is_open"], "do not count it" in cards["Strict"]["verdict"]) == (
        False, True,
    )  # fmt: skip
    one = rosa.get(f"{path}/judge-cards/{judge.pk}").json()
    assert one["figures"]["sections"][0]["figures"]["flips"]["value"] == 1
    assert rosa.get(f"{path}/judge-cards/{judge.pk + 1000}").status_code == 404
    rule = rosa.get(f"{path}/judge-gate").json()
    assert (rule["version"], rule["must_measure"]) == (1, ["flips", "parse_errors", "injection"])
    new = {
        "min_items": 10, "margin": 0.1, "max_flips": None, "max_parse_errors": None,
        "max_injection": None, "must_measure": [], "from_version": 1,
    }  # fmt: skip
    assert rosa.put(f"{path}/judge-gate", new).status_code == 403
    assert mary.put(f"{path}/judge-gate", {**new, "must_measure": ["x"]}).status_code == 400
    assert mary.put(f"{path}/judge-gate", new).json()["version"] == 2
    Item.objects.update(open_slots=0)
    assert rosa.post(f"{path}/judge-cards/{judge.pk}/ask-more", {"more": 1}).json() == {"items": 4}
    assert rosa.post(f"{path}/judge-cards/{judge.pk}/ask-more", {"more": 0}).status_code == 400


def test_a_card_of_an_open_judge_says_so(cast: Cast, judge: Judge) -> None:
    measure_judges(project=cast.project)
    post(cast, cast.mary, "judge-gate", **GATE)
    text = page(cast, cast.mary, "judge-card", judge_annotator().judge_id or 0).text
    assert "by the criteria below count where the" in text
    assert "How it stood before" in text
    assert "it agrees with people in 100 %" in text


def test_an_open_gate_warns_of_a_judge_of_places(cast: Cast, judge: Judge) -> None:
    """Always for what is shown first, and let in by a rule that asks for little."""
    measure_judges(project=cast.project)
    post(cast, cast.mary, "judge-gate", **{**GATE, "margin": 1})
    text = words(page(cast, cast.mary, "judge-card", judge.pk))
    assert "in the other order in 100 %: do not count it, though its gate is open." in text
    assert "moves this judge more than what they say" in text
    assert "Answers that change with the order: 100 %" in text
    assert "the rule sets no limit" in text
    board = page(cast, cast.mary, "judge-board").text
    # GPT-4 picks the first as often, of a file in which somebody else has put it there.
    assert ("badge-good" in board, board.count("though its gate is open")) == (True, 1)
    rows = {row.judge.name: row.judges_places for row in judge_rows(cast.project)}
    assert rows == {"Strict": True, "gpt-4": False}


def test_the_card_says_why_it_is_out_of_date(cast: Cast, judge: Judge) -> None:
    for run in judge.runs.all():
        run.job = ended_job(finished_at=timezone.now())
        run.save()
    measure_judges(project=cast.project)
    assert "Out of date" not in page(cast, cast.rosa, "judge-card", judge.pk).text
    vote(judge.verdicts.earliest("pk").item, "c", 2)
    resolve_items(project=cast.project)
    text = page(cast, cast.rosa, "judge-card", judge.pk).text
    assert "Out of date: people have answered since on items that it judged." in text
