from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from annotation.models import JudgeRun, JudgeVerdict, Provider
from core.models import Job
from tests.asked_judges import Court, make_items

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def court(court: Court) -> Court:
    make_items(court.project, 3)
    return court


def say(court: Court, *words: str, **options: Any) -> str:
    out = StringIO()
    asked = {"project": str(court.project.pk), "judge": court.judge.name, **options}
    call_command("judge", *words, stdout=out, stderr=StringIO(), **asked)
    return out.getvalue()


def test_it_judges_here_and_says_what_came_of_it(court: Court) -> None:
    said = say(court, cap="1", limit=2)
    run = JudgeRun.objects.get()
    assert f"Run {run.pk} succeeded: 2 judged" in said
    assert JudgeVerdict.objects.count() == 2


def test_an_estimate_asks_nothing(court: Court) -> None:
    assert "3 items, 6 calls" in say(court, "--estimate")
    assert not JudgeRun.objects.exists()


def test_without_a_cap_nothing_starts(court: Court) -> None:
    with pytest.raises(CommandError, match="Give --cap"):
        say(court)


def test_a_run_that_stopped_at_its_cap_is_resumed_under_another(court: Court) -> None:
    with pytest.raises(CommandError, match="holds no further call"):
        say(court, cap="0.000001")
    run = JudgeRun.objects.get()
    assert "3 judged" in say(court, resume=run.pk, cap="1")


def test_what_came_on_the_bill_beyond_the_cap_is_spent(court: Court) -> None:
    with pytest.raises(CommandError, match="holds no further call"):
        say(court, cap="0.000001")
    run, out = JudgeRun.objects.get(), StringIO()
    with pytest.raises(CommandError, match="needs one of"):
        call_command("judge", resume=run.pk, stdout=out, stderr=StringIO())
    # As of a run that ended before the least was kept.
    Job.objects.update(result={})
    JudgeRun.objects.update(overrun=2)
    with pytest.raises(CommandError, match="holds no further call"):
        call_command("judge", resume=run.pk, stdout=out, stderr=StringIO())
    assert "nothing yet; $2.000000 spent" in out.getvalue()


def test_without_a_price_it_runs_where_somebody_says_so(court: Court) -> None:
    court.judge.model.prices.all().delete()
    # A stranger's, and one that is never reached.
    Provider.objects.update(base_url="https://example.org:22/v1")
    for words in ((), ("--unpriced",)):
        with pytest.raises(CommandError, match="No price is known"):
            say(court, *words, cap="0")
    with pytest.raises(CommandError, match="Port 22"):
        say(court, "--unpriced", cap="0", limit=2)
    assert JudgeRun.objects.get().selection == {"takes": "all", "limit": 2, "unpriced": True}


def test_versions_are_named(court: Court) -> None:
    assert "3 items" in say(court, "--estimate", judge="Scripted judge v1")
    with pytest.raises(CommandError, match="has no judge called"):
        say(court, "--estimate", judge="Scripted judge v2")
