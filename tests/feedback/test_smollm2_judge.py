"""SmolLM2 as a judge of PandaLM's pairs: a real model behind our server, and a card that tells.

PREFLOOP_JUDGED asks for more pairs, PREFLOOP_JUDGED_RESULT names a file for the figures: that is
`make prove`'s judge_smollm2.
"""

from __future__ import annotations

import json
import os
import random
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from annotation.judging.protocol import default_template, get_protocol
from annotation.models import (
    Answer,
    Item,
    Judge,
    JudgeCall,
    JudgeRun,
    JudgeVerdict,
    Project,
    Provider,
)
from annotation.services.import_data import import_data
from annotation.services.judge import create_judge
from annotation.services.judge_run import queue_run
from annotation.services.provider import add_model, probe_model, set_provider_key
from core import jobs
from core.models import Job
from feedback.models import JudgeStanding
from feedback.services.measure_judges import measure_judges
from tests.cast import make_project
from tests.llm_server.fixtures import ModelServer
from tests.real_data import real_data_folder

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(7200)]
FEW = 5
PAIRS = int(os.environ.get("PREFLOOP_JUDGED") or FEW)
# So many tell rates apart; with fewer only the counts of calls and verdicts are held.
ENOUGH = 50
TOLD = ("agreement", "people", "difference", "agreement_no_ties", "people_no_ties", "majority",
        "majority_decisive", "kappa", "flips", "first", "longer", "people_longer", "ties",
        "people_ties", "ece")  # fmt: skip


@pytest.fixture
def judge(smollm2_server: ModelServer, settings: LazySettings) -> Judge:
    settings.EGRESS_ORIGINS = [smollm2_server.url]
    project = make_project()
    folder = real_data_folder() / "pandalm"
    import_data(project=project, format_name="pandalm", path=folder / "testset-v1.json")
    provider = Provider.objects.create(
        name="Ours", base_url=smollm2_server.base_url, concurrency=4, timeout_seconds=600
    )
    set_provider_key(provider=provider, key=smollm2_server.key, actor=None)
    model = add_model(provider=provider, name=smollm2_server.model, family="SmolLM2", actor=None)
    return create_judge(
        project=project,
        name="SmolLM2",
        model=probe_model(model=model, actor=None),
        protocol="rlaif",
        template=default_template("rlaif", "pairwise"),
        settings=get_protocol("rlaif").defaults.to_dict(),
        created_by=None,
    )


def drawn(judge: Judge) -> list[int]:
    """Of all prompts, for pairs of one prompt stand together in the set."""
    items = Item.objects.filter(project=judge.project, origin="created").order_by("pk")
    return random.Random(0).sample(list(items.values_list("pk", flat=True)), PAIRS)


def ask(judge: Judge) -> JudgeRun:
    assert judge.project is not None
    run = queue_run(
        project=judge.project,
        judge=judge,
        created_by=None,
        cap=Decimal(1),
        selection={"items": drawn(judge)},
    )
    jobs.run(run.job_id or 0)
    job = Job.objects.get(pk=run.job_id)
    assert job.state == Job.State.SUCCEEDED, job.error
    return run


def test_its_card_exposes_it(judge: Judge) -> None:
    began = time.monotonic()
    run = ask(judge)
    seconds = time.monotonic() - began
    assert JudgeVerdict.objects.filter(run=run).count() == PAIRS
    done = JudgeCall.objects.filter(run=run, state="done", purpose="judge/verdict")
    # Pairs with the same texts share their calls.
    assert PAIRS < done.count() == JudgeCall.objects.filter(run=run).count() <= 2 * PAIRS
    assert all(tuple(call.reply["tokens"][0][2]) for call in done[:10])
    answers = Answer.objects.filter(judgment__assignment__annotator__judge=judge)
    unread = JudgeVerdict.objects.filter(run=run, outcome="unparsable").count()
    assert answers.count() == PAIRS - unread
    assert all(0 <= answer.probabilities[0] <= 1 for answer in answers)
    assert isinstance(judge.project, Project)
    [report] = measure_judges(project=judge.project, judges=[judge])
    [section] = report.figures["sections"]
    figures = section["figures"]
    assert section["items"] == PAIRS - unread
    if PAIRS >= ENOUGH:
        _is_exposed(figures)
        assert not JudgeStanding.objects.get(judge=judge).is_open
    assert _takes_the_first(run) > 0.6
    _keep(figures, report.figures, unread=unread, seconds=seconds)


def _takes_the_first(run: JudgeRun) -> float:
    """The share of single verdicts, by its probabilities; a card says nothing of so few."""
    details = JudgeVerdict.objects.filter(run=run).values_list("detail", flat=True)
    raw = [one for detail in details for one in detail["criteria"]["overall"]["raw"]]
    took = [(one["probabilities"][0] > 0.5) == (one["shown_order"][0] == 0) for one in raw]
    return sum(took) / len(took)


def _is_exposed(figures: dict[str, Any]) -> None:
    """It takes what is shown first, so the other order turns its verdict round."""
    assert min(figures["first"]["value"], figures["flips"]["value"]) > 0.85
    assert figures["people"]["value"] > 0.85
    assert figures["agreement"]["high"] < figures["people"]["low"]
    assert figures["kappa"]["high"] < 0.3


def _keep(figures: dict[str, Any], report: dict[str, Any], *, unread: int, seconds: float) -> None:
    path = os.environ.get("PREFLOOP_JUDGED_RESULT")
    if path is None:
        return
    told = {
        "model": "SmolLM2-135M-Instruct, bfloat16, behind our server in another process",
        "protocol": "rlaif, both orders, no reasoning",
        "pairs": PAIRS,
        "prompts": figures["agreement"]["clusters"],
        "unparsable": unread,
        "seconds_of_the_run": round(seconds, 1),
        "seconds_a_judgment": report["cost"]["seconds"],
        "calls": report["cost"]["calls"],
        **{
            name: {key: figures[name][key] for key in ("value", "low", "high", "units")}
            for name in TOLD
        },
    }
    Path(path).write_text(json.dumps(told))
