from __future__ import annotations

from typing import Any

import pytest

from annotation.judging.protocol import default_template
from annotation.models import Judge
from annotation.services.judge import create_judge, import_judge
from core.errors import Conflict, PrefloopError
from core.models import AuditEvent
from tests.cast import Cast
from tests.judges import make_model


def make(cast: Cast, **fields: Any) -> Judge:
    model = fields.pop("model", None) or make_model(name=fields.pop("model_name", "judge-1"))
    protocol = fields.pop("protocol", "mt_bench")
    given = {
        "project": cast.project,
        "name": "Strict",
        "model": model,
        "protocol": protocol,
        "template": default_template(protocol, "pairwise"),
        "settings": {},
        "created_by": cast.rosa,
    }
    return create_judge(**given | fields)


def test_it_keeps_what_it_was_made_of(cast: Cast) -> None:
    judge = make(cast, settings={"max_tokens": 99}, name="  Strict   one ")
    assert (judge.name, judge.version, judge.origin) == ("Strict one", 1, "configured")
    assert (judge.model_name, judge.family) == ("judge-1", "Llama")
    assert judge.template == default_template("mt_bench", "pairwise")
    assert judge.settings["max_tokens"] == 99
    assert len(judge.content_key) == 64
    assert AuditEvent.objects.filter(action="create_judge", actor=cast.rosa).count() == 1


def test_the_same_again_is_the_same_judge_and_anything_else_a_new_version(cast: Cast) -> None:
    model = make_model()
    first = make(cast, model=model)
    assert make(cast, model=model) == first
    second = make(cast, model=model, settings={"seed": 1})
    assert (second.name, second.version) == (first.name, 2)
    assert second.content_key != first.content_key
    assert make(cast, model=model) == first
    assert make(cast, model=model, name="Other").version == 1


def test_another_model_is_another_version(cast: Cast) -> None:
    first = make(cast)
    other = make(cast, model_name="judge-2")
    assert (other.version, other.content_key != first.content_key) == (2, True)


@pytest.mark.parametrize(("can", "words"), [({}, "was not probed"), ({"n": True}, "logprobs")])
def test_a_model_that_gives_no_log_probabilities_is_refused(
    cast: Cast, can: dict[str, bool], words: str
) -> None:
    with pytest.raises(PrefloopError, match=words):
        make(cast, model=make_model(can=can), protocol="rlaif")
    assert make(cast, model=make_model(name="other", can=can)).protocol == "mt_bench"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "  "}, "1 to 100 characters"),
        ({"name": "n" * 101}, "1 to 100 characters"),
        ({"settings": {"colour": "red"}}, "no such setting"),
        ({"settings": {"samples": 0}}, "below 1"),
        ({"template": "{}"}, "system, body and answer_format"),
        ({"template": "no JSON"}, "Expecting value"),
    ],
)
def test_what_is_wrong_is_said(cast: Cast, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(PrefloopError, match=words):
        make(cast, **fields)
    assert not Judge.objects.exists()


def test_an_unknown_protocol_is_refused(cast: Cast) -> None:
    template = default_template("mt_bench", "pairwise")
    given = {"name": "Odd", "protocol": "odd", "template": template, "settings": {}}
    model = make_model()
    with pytest.raises(PrefloopError, match="not one of"):
        create_judge(project=cast.project, model=model, created_by=None, **given)


def test_an_import_is_not_mixed_up_with_judges_of_projects(cast: Cast) -> None:
    mine = make(cast, name="GPT-4")
    imported = import_judge(name="GPT-4", model_name="gpt-4")
    assert imported != mine
    assert import_judge(name="GPT-4", model_name="gpt-4") == imported
    Judge.objects.filter(pk=imported.pk).update(origin="configured")
    with pytest.raises(Conflict, match="Import under another name"):
        import_judge(name="GPT-4", model_name="gpt-4")
