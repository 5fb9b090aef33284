"""A judge on a scripted server, for tests that let it judge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from annotation.judging.protocol import default_template, get_protocol
from annotation.models import (
    Item,
    Judge,
    JudgeCall,
    JudgeRun,
    Price,
    Project,
    Provider,
    ProviderModel,
    Response,
)
from annotation.services.judge import create_judge
from annotation.services.judge_run import queue_run
from annotation.services.perform_judge_run import perform_run
from core import jobs
from core.models import Job
from tests.cast import make_item, make_prompt
from tests.llm_server import LlmServer

ABILITIES = ("logprobs", "n", "seed", "json_schema", "choices")
CAP = Decimal(10)


def make_provider(server: LlmServer, **fields: Any) -> Provider:
    given = {"name": "Scripted", "concurrency": 8, "timeout_seconds": 20, **fields}
    return Provider.objects.create(base_url=server.base_url, **given)


def make_priced_model(provider: Provider) -> ProviderModel:
    can = dict.fromkeys(ABILITIES, True) | {"top_logprobs": 20}
    model = ProviderModel.objects.create(provider=provider, name="scripted", can=can)
    Price.objects.create(
        model=model,
        valid_from=date(2026, 1, 1),
        input_per_million=Decimal(2),
        output_per_million=Decimal(8),
    )
    return model


def make_asked_judge(
    project: Project,
    model: ProviderModel,
    *,
    protocol: str = "mt_bench",
    kind: str = "pairwise",
    name: str = "Scripted judge",
    **settings: Any,
) -> Judge:
    return create_judge(
        project=project,
        name=name,
        model=model,
        protocol=protocol,
        template=default_template(protocol, kind),
        settings=get_protocol(protocol).defaults.to_dict() | {"max_tokens": 64} | settings,
        created_by=None,
    )


def make_items(project: Project, count: int, **fields: Any) -> list[Item]:
    return [make_item(project, prompt=make_prompt(project), **fields) for _ in range(count)]


def make_items_of_equal_texts(project: Project) -> tuple[Item, Item]:
    """Of one prompt, by models that said the same."""
    one = make_item(project)
    two = make_item(project, prompt=one.prompt)
    said = one.item_responses.order_by("position")
    for mine, other in zip(said, two.item_responses.order_by("position"), strict=True):
        Response.objects.filter(pk=other.response_id).update(messages=mine.response.messages)
    return one, two


@dataclass(frozen=True)
class Court:
    """A project with a judge that can be asked."""

    project: Project
    judge: Judge
    server: LlmServer

    def queue(self, *, cap: Decimal = CAP, **asked: Any) -> JudgeRun:
        return queue_run(project=self.project, judge=self.judge, created_by=None, cap=cap, **asked)

    def run(self, *, cap: Decimal = CAP, **asked: Any) -> JudgeRun:
        return work(self.queue(cap=cap, **asked))


def work(run: JudgeRun, *, patience: float = 5.0) -> JudgeRun:
    """As a worker does its job, with less patience for an endpoint that is down."""
    kind = jobs.REGISTRY["judge"]
    jobs.REGISTRY["judge"] = jobs.Kind(
        kind.name, kind.queue, lambda context: perform_run(context, patience=patience), 50
    )
    try:
        jobs.run(run.job_id or 0)
    finally:
        jobs.REGISTRY["judge"] = kind
    return fresh(run)


def fresh(run: JudgeRun) -> JudgeRun:
    run = JudgeRun.objects.select_related("judge", "project").get(pk=run.pk)
    run.job = Job.objects.get(pk=run.job_id)
    return run


def assert_books_balance(run: JudgeRun) -> None:
    run = fresh(run)
    paid = JudgeCall.objects.filter(run=run).aggregate(all=Sum("settled_cost"))["all"]
    assert run.settled == (paid or 0)
    assert run.reserved == 0
    assert run.settled <= run.cap
