"""A project's judges in the browser: made and looked at; texts of one's own."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import (
    Annotator,
    Judge,
    JudgeCall,
    JudgeTemplate,
    Project,
    ProjectJudge,
    ProviderModel,
)
from annotation.services.judge import import_judge
from annotation.services.judge_run import queue_run
from annotation.services.judgment_import import NewJudgment, record_judgments
from annotation.views import judge as judge_view
from tests.annotation.test_work_views import page, sign_in, url
from tests.cast import Cast, make_item
from tests.judges import CAN, make_judge, make_model

PARTS = ("judges", "new-judge", "judge-templates", "new-judge-template")
MAY = {"mallory": 404, "bob": 403, "rita": 403, "rosa": 200, "mary": 200, "ada": 200}


def form_of(model: ProviderModel, **more: str) -> dict[str, str]:
    return {
        "model": str(model.pk),
        "protocol": "mt_bench",
        "kind": "pairwise",
        "name": "Strict",
        "setting-both_orders": "on",
        "setting-samples": "1",
        "setting-temperature": "0",
        "setting-max_tokens": "256",
        "setting-soft_labels": "none",
        "setting-seed": "0",
        "setting-tie_band": "0.05",
        **more,
    }


@pytest.mark.parametrize("who", MAY)
def test_who_may(cast: Cast, who: str) -> None:
    make_model()
    client = sign_in(getattr(cast, who))
    for part in PARTS:
        assert client.get(url(cast, part)).status_code == MAY[who], part


def test_empty_pages_say_what_to_do(cast: Cast) -> None:
    assert "Ask an admin of this instance to add a provider" in page(cast, "judges", user=cast.rosa)
    assert "Add a provider and one of its models" in page(cast, "judges", user=cast.ada)
    assert "No model to ask yet" in page(cast, "new-judge", user=cast.rosa)
    make_model()
    assert "No judge yet" in page(cast, "judges", user=cast.rosa)
    assert "No template yet" in page(cast, "judge-templates", user=cast.rosa)
    assert "Judges</a>" not in sign_in(cast.bob).get(url(cast, "project")).content.decode()


def test_a_judge_is_made_of_a_model_and_a_protocol(cast: Cast) -> None:
    make_item(cast.project)
    client, model = sign_in(cast.rosa), make_model()
    seen = page(cast, "new-judge", user=cast.rosa)
    assert "can give log-probabilities (20)" in seen
    assert "&lt;&lt;&lt;BEGIN" in seen
    reply = client.post(url(cast, "new-judge"), form_of(model))
    judge = Judge.objects.get()
    assert reply["Location"] == url(cast, "judge", judge.pk)
    assert judge.settings["max_tokens"] == 256
    assert judge.settings["reasoning"] is False
    seen = page(cast, "judge", judge.pk, user=cast.rosa)
    assert "It was never asked" in seen
    assert "MT-Bench pairwise" in seen
    again = client.post(url(cast, "new-judge"), form_of(model, **{"setting-samples": "3"}))
    newer = Judge.objects.get(version=2)
    assert again["Location"] == url(cast, "judge", newer.pk)
    seen = page(cast, "new-judge", user=cast.rosa)
    filled = client.get(url(cast, "new-judge") + f"?judge={newer.pk}").content.decode()
    assert 'value="3"' in filled
    assert 'value="Strict"' in filled


def test_only_protocols_that_the_model_can_do_are_offered(cast: Cast) -> None:
    make_model(can=CAN | {"logprobs": False})
    seen = page(cast, "new-judge", user=cast.rosa)
    assert "judge-1 cannot give log-probabilities." in seen
    assert 'value="rlaif"' not in seen
    assert 'value="mt_bench"' in seen
    assert 'value="own"' not in seen
    assert "This project has no template of its own yet" in seen
    model = ProviderModel.objects.get()
    reply = sign_in(cast.rosa).post(url(cast, "new-judge"), form_of(model, protocol="rlaif"))
    assert Judge.objects.get().protocol != "rlaif" or reply.status_code == 422


def test_settings_that_mean_nothing_are_not_shown(cast: Cast) -> None:
    make_item(cast.project)
    client, longest, band = sign_in(cast.rosa), "setting-max_tokens", "setting-tie_band"

    def shown(**given: str) -> set[str]:
        seen = client.get(url(cast, "new-judge"), given).content.decode()
        return {name for name in (longest, band) if f'name="{name}"' in seen}

    make_model()
    # One label is a token or two, until it reasons first; two verdicts that agree have no band.
    assert shown(protocol="rlaif") == {band}
    assert shown(protocol="rlaif", **{"setting-reasoning": "on"}) == {longest, band}
    assert shown(protocol="mt_bench") == {longest}
    built = {"protocol": "mt_bench", "built_for": "mt_bench:pairwise:|x"}
    assert shown(**built, **{"setting-soft_labels": "logprobs"}) == {band}


def test_a_judge_is_named_once(cast: Cast) -> None:
    judge = make_judge(cast.project, name="judge-1, MT-Bench pairwise")
    seen = " ".join(page(cast, "judge", judge.pk, user=cast.rosa).split())
    assert "<h1>judge-1, MT-Bench pairwise v1</h1></div>" in seen


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("setting-samples", "0"),
        ("setting-temperature", "3"),
        ("setting-max_tokens", "many"),
        ("setting-soft_labels", "guesses"),
    ],
)
def test_bad_settings_are_told_at_their_field(cast: Cast, field: str, value: str) -> None:
    make_item(cast.project)
    reply = sign_in(cast.rosa).post(url(cast, "new-judge"), form_of(make_model(), **{field: value}))
    assert reply.status_code == 422
    assert "field-error" in reply.content.decode()
    assert not Judge.objects.exists()


def test_the_preview_shows_the_messages_of_another_item(cast: Cast) -> None:
    first, second = make_item(cast.project), make_item(cast.project)
    client, model = sign_in(cast.rosa), make_model()
    seen = client.get(url(cast, "judge-preview"), form_of(model)).content.decode()
    assert f"item {second.pk}" in seen
    more = form_of(model, after=str(second.pk))
    assert f"item {first.pk}" in client.get(url(cast, "judge-preview"), more).content.decode()
    more = form_of(model, **{"setting-samples": "x"}, after="x" * 40)
    assert client.get(url(cast, "judge-preview"), more).status_code == 200


def test_what_a_judge_takes_is_the_projects_choice(cast: Cast) -> None:
    judge = make_judge(cast.project)
    client = sign_in(cast.rosa)
    client.post(url(cast, "judge-takes", judge.pk), {"takes": "disagreed"})
    assert ProjectJudge.objects.get().takes == "disagreed"
    assert client.post(url(cast, "judge-takes", judge.pk), {"takes": "x"}).status_code == 422
    assert "Items where people disagree" in page(cast, "judges", user=cast.rosa)
    elsewhere = make_judge(Project.objects.create(name="Other"), name="Theirs")
    reply = client.post(url(cast, "judge-takes", elsewhere.pk), {"takes": "all"})
    assert reply.status_code == 404


def test_every_call_can_be_read_as_it_came(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    item = make_item(cast.project)
    judge = make_judge(cast.project)
    run = queue_run(project=cast.project, judge=judge, created_by=cast.rosa, cap=Decimal(1))
    call = JudgeCall.objects.create(
        judge=judge, run=run, item=item, call_key="a", purpose="judge/verdict", state="done",
        shown_order=[1, 0], reply={"text": "<b>A</b>", "tokens": [["A", -0.1, {"A": -0.1}]]},
        error="there is no JSON in it", latency_ms=1234, finished_at=timezone.now(),
    )  # fmt: skip
    newest = JudgeCall.objects.create(
        judge=judge, run=run, item=item, call_key="b", purpose="judge/verdict", state="failed",
        error="503: busy",
    )  # fmt: skip
    assert "Newest first" in page(cast, "judge-calls", judge.pk, user=cast.rosa)
    client = sign_in(cast.rosa)
    path = url(cast, "judge-calls", judge.pk)
    assert "503: busy" not in client.get(path, {"outcome": "unparsable"}).content.decode()
    assert "503: busy" in client.get(path, {"outcome": "failed"}).content.decode()
    assert "No calls" in client.get(path, {"outcome": "unknown"}).content.decode()
    monkeypatch.setattr(judge_view, "CALLS_A_PAGE", 1)
    assert f"before={newest.pk}" in client.get(path).content.decode()
    older = client.get(path, {"before": newest.pk}).content.decode()
    assert "503: busy" not in older
    assert 'rel="next"' not in older
    assert client.get(path, {"before": "9" * 30}).status_code == 200
    seen = page(cast, "judge-call", judge.pk, call.pk, user=cast.rosa)
    assert "&lt;b&gt;A&lt;/b&gt;" in seen
    assert "1,234 ms" in seen
    assert "$0 of $0 reserved" in seen
    JudgeCall.objects.update(parameters={"priced": False})
    for where in (("judge-call", judge.pk, call.pk), ("judge-calls", judge.pk)):
        seen = page(cast, *where, user=cast.rosa)
        assert "no price known" in seen
        assert "$0" not in seen
    seen = page(cast, "judge-run", run.pk, user=cast.rosa)
    assert "503: busy" in seen
    other = make_judge(cast.project, name="Other")
    assert client.get(url(cast, "judge-call", other.pk, call.pk)).status_code == 404


def test_an_imported_judge_is_looked_at_and_never_asked(cast: Cast) -> None:
    judge = import_judge(name="GPT-4", model_name="gpt-4")
    client = sign_in(cast.rosa)
    assert client.get(url(cast, "judge", judge.pk)).status_code == 404
    item = make_item(cast.project)
    annotator = Annotator.objects.create(judge=judge)
    said = {"overall": AnswerValue(strength=2)}
    record_judgments(project=cast.project, judgments=[NewJudgment(item, annotator, said, (0, 1))])
    assert "imported" in page(cast, "judges", user=cast.rosa)
    assert "never asked" in page(cast, "judge", judge.pk, user=cast.rosa)
    for name in ("judge-run-form", "judge-run-estimate"):
        assert client.get(url(cast, name, judge.pk)).status_code == 404
    assert client.post(url(cast, "judge-try", judge.pk)).status_code == 404
    assert client.post(url(cast, "judge-takes", judge.pk), {"takes": "all"}).status_code == 422


OWN = {
    "name": "Ours",
    "kind": "pairwise",
    "answer_format": "choice",
    "system": "Be fair.",
    "body": "{prompt}\n\nA: {response_a}\n\nB: {response_b}",
}


def test_a_text_of_ones_own_is_checked_shown_and_saved(cast: Cast) -> None:
    make_item(cast.project)
    client = sign_in(cast.rosa)
    check = url(cast, "judge-template-check")
    told = client.post(check, {**OWN, "body": "{prompt} {response_a} {name}"}).content.decode()
    assert "{name} is no placeholder" in told
    assert "Show both {response_a} and {response_b}" in told
    told = client.post(check, OWN).content.decode()
    assert "Be fair." in told
    assert "&lt;&lt;&lt;BEGIN" in told
    assert client.post(check, {}).status_code == 200
    refused = client.post(url(cast, "new-judge-template"), {**OWN, "body": "Hello"})
    assert refused.status_code == 422
    assert not JudgeTemplate.objects.exists()
    client.post(url(cast, "new-judge-template"), OWN)
    saved = JudgeTemplate.objects.get()
    editor = url(cast, "judge-template", saved.pk)
    client.post(editor, OWN)
    assert JudgeTemplate.objects.count() == 1
    client.post(editor, {**OWN, "system": "Be very fair."})
    newest = JudgeTemplate.objects.get(version=2)
    assert "Ours v2" in page(cast, "judge-templates", user=cast.rosa)
    model = make_model()
    given = form_of(model, protocol="own", template=str(newest.pk), name="By our words")
    reply = client.post(url(cast, "new-judge"), given)
    assert reply.status_code == 302
    judge = Judge.objects.get()
    assert (judge.protocol, json.loads(judge.template)["system"]) == ("own", "Be very fair.")
    client.post(editor, {**OWN, "system": "Be fairest."})
    next_one = client.get(url(cast, "new-judge") + f"?judge={judge.pk}").content.decode()
    assert "Ours v3" in next_one
    assert re.search(r'value="own"[^>]* checked', next_one)
