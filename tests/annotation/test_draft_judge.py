"""A text of one's own is tried before it is saved, and nothing that counts comes of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from annotation.models import (
    Judge,
    JudgeRun,
    JudgeTemplate,
    JudgeVerdict,
    Judgment,
    Project,
    ProviderModel,
)
from annotation.selectors.judge_pages import judge_rows
from annotation.services.judge_run import queue_run
from annotation.services.judge_template import draft_judge, set_project_judge
from core.errors import PrefloopError
from feedback.selectors.judge_rows import judges_of
from tests.annotation.test_work_views import page, sign_in, url
from tests.api import Api
from tests.asked_judges import Court, make_items, work
from tests.cast import Cast, make_item
from tests.judges import make_judge, make_model

TEXT = {
    "name": "Ours",
    "kind": "pairwise",
    "answer_format": "choice",
    "system": "Be fair.",
    "body": "{prompt}\n\nA: {response_a}\n\nB: {response_b}",
}


def draft(cast: Cast, **change: Any) -> Judge:
    model = ProviderModel.objects.first() or make_model()
    given = {"project": cast.project, "actor": cast.rosa, "model": model}
    return draft_judge(**given | TEXT | change)


def test_the_same_text_is_the_same_draft_and_never_a_judge(cast: Cast) -> None:
    first = draft(cast)
    assert (str(first), first.origin, first.protocol) == ("Draft of Ours v1", "draft", "own")
    assert draft(cast) == first
    assert draft(cast, system="Be fairer.").version == 2
    assert draft(cast, name=" ").name == "Draft"
    with pytest.raises(PrefloopError, match=r"lacks \{prompt\}"):
        draft(cast, body="Which?")
    # A judge that is called like it is another one.
    made = make_judge(
        cast.project, name=first.name, protocol="own", template=first.template, model=first.model
    )
    assert (made.origin, made.version) == ("configured", 3)
    assert not JudgeTemplate.objects.exists()


def test_a_draft_is_tried_and_nothing_else(cast: Cast) -> None:
    make_item(cast.project)
    judge = draft(cast)
    for purpose in ("judge", "repeat", "canary"):
        with pytest.raises(PrefloopError, match="can only be tried"):
            queue_run(
                project=cast.project, judge=judge, created_by=None, cap=Decimal(1), purpose=purpose
            )
    with pytest.raises(PrefloopError, match="takes no items"):
        set_project_judge(project=cast.project, judge=judge, takes="all", actor=cast.rosa)
    assert not judge_rows(cast.project)
    assert not judges_of(cast.project)
    assert Api(cast.rosa).get(f"projects/{cast.project.pk}/judges").json()["results"] == []
    client = sign_in(cast.rosa)
    for name in ("judge-run-form", "judge-run-estimate"):
        assert client.get(url(cast, name, judge.pk)).status_code == 404


def test_from_the_text_to_its_trial_and_back(cast: Cast) -> None:
    make_item(cast.project)
    assert "Try on ten items" not in page(cast, "new-judge-template", user=cast.rosa)
    client, model = sign_in(cast.rosa), make_model()
    assert "Try on ten items" in page(cast, "new-judge-template", user=cast.rosa)
    path = url(cast, "judge-template-try")
    reply = client.post(path, {**TEXT, "name": "", "model": model.pk})
    judge = Judge.objects.get()
    assert reply["Location"] == url(cast, "judge-try", judge.pk)
    told = page(cast, "judge-try", judge.pk, user=cast.rosa)
    assert "1 item, " in told
    assert f"?draft={judge.pk}" in told
    assert not JudgeRun.objects.exists()
    client.post(url(cast, "judge-try", judge.pk))
    run = JudgeRun.objects.get()
    assert run.purpose == "trial"
    back = f"{url(cast, 'new-judge-template')}?draft={judge.pk}"
    assert back in page(cast, "judge-run", run.pk, user=cast.rosa)
    seen = client.get(back).content.decode()
    assert "Be fair." in seen
    assert "A: {response_a}" in seen
    seen = page(cast, "judge", judge.pk, user=cast.rosa)
    assert "Go on with the text" in seen
    assert "Which items it takes" not in seen
    assert not JudgeTemplate.objects.exists()


@pytest.mark.parametrize("change", [{"body": "Which?"}, {"model": "0"}, {"model": ""}])
def test_what_cannot_be_tried_is_said_beside_the_text(cast: Cast, change: dict[str, str]) -> None:
    make_item(cast.project)
    given = TEXT | {"model": str(make_model().pk)} | change
    reply = sign_in(cast.rosa).post(url(cast, "judge-template-try"), given)
    assert reply.status_code == 422
    assert 'role="alert"' in reply.content.decode()
    assert "Be fair." in reply.content.decode()
    assert not Judge.objects.exists()


def test_only_a_draft_of_the_project_is_gone_on_with(cast: Cast) -> None:
    client, judge = sign_in(cast.rosa), make_judge(cast.project)
    elsewhere = draft(cast, project=Project.objects.create(name="Other"))
    for number in (judge.pk, elsewhere.pk, 10**12):
        assert client.get(f"{url(cast, 'new-judge-template')}?draft={number}").status_code == 404
    for word in ("x", "9" * 30):
        assert client.get(f"{url(cast, 'new-judge-template')}?draft={word}").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_its_trial_shows_answers_and_makes_no_judgment(court: Court, cast: Cast) -> None:
    make_items(court.project, 3)
    assert court.judge.model is not None
    judge = draft_judge(project=court.project, actor=cast.rosa, model=court.judge.model, **TEXT)
    run = Court(court.project, judge, court.server).queue(purpose="trial")
    run = work(run)
    assert run.job is not None
    assert run.job.state == "succeeded", run.job.error
    outcomes = JudgeVerdict.objects.values_list("purpose", "outcome")
    assert list(outcomes) == [("trial", "judged")] * 3
    assert run.settled > 0
    assert not Judgment.objects.exists()
    sent = [one["body"]["messages"][0]["content"] for one in court.server.seen()]
    assert all("Be fair." in text for text in sent[-run.calls.count() :])


def test_a_draft_by_rest(cast: Cast) -> None:
    make_item(cast.project)
    api, model = Api(cast.rosa), make_model()
    path = f"projects/{cast.project.pk}/judge-drafts"
    made = api.post(path, TEXT | {"model": model.pk})
    assert (made.status_code, made.json()["texts"]["body"]) == (201, TEXT["body"])
    trial = {"purpose": "trial", "cap": 1, "selection": {"limit": 10, "unpriced": True}}
    started = api.post(f"judges/{made.json()['id']}/runs", trial)
    assert (started.status_code, started.json()["purpose"]) == (201, "trial")
    for change, field in (({"model": model.pk + 1}, "model"), ({"body": "Which?"}, "body")):
        refused = api.post(path, TEXT | {"model": model.pk} | change)
        assert (refused.status_code, list(refused.json()["fields"])) == (400, [field])
