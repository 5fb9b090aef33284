"""A judge, items for it, and a plain loop that sends the same calls; Django is set up by then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.llm_server import LlmServer

if TYPE_CHECKING:
    from annotation.models import Judge, JudgeRun, Project, ProviderModel

CAN = dict.fromkeys(("logprobs", "n", "seed", "json_schema", "choices"), True)
CRITERIA = [{"key": "overall", "name": "Overall", "definition": "Which answer is better?"}]
CAP = Decimal(100_000)


def make_project(items: int) -> Project:
    """Pairs of a usual length, a few hundred words each."""
    from annotation.services.project import create_project
    from bench.load.work import make_items
    from core.models import User

    owner, _ = User.objects.get_or_create(username="owner", can_create_projects=True)
    project = create_project(
        creator=owner, name="Judging", kinds=["pairwise"], criteria=CRITERIA, overlap=1
    )
    make_items(project, "pairwise", range(items))
    return project


def make_model(server: LlmServer, *, concurrency: int, timeout_seconds: int) -> ProviderModel:
    from datetime import date

    from django.conf import settings

    from annotation.models import Price, Provider, ProviderModel

    settings.EGRESS_ORIGINS = [server.url]
    given = {"concurrency": concurrency, "timeout_seconds": timeout_seconds}
    provider, _ = Provider.objects.get_or_create(
        base_url=server.base_url, defaults={"name": f"Server {server.url}", **given}
    )
    model, _ = ProviderModel.objects.get_or_create(
        provider=provider, name="scripted", defaults={"can": CAN}
    )
    Price.objects.get_or_create(
        model=model,
        valid_from=date(2026, 1, 1),
        defaults={"input_per_million": 2, "output_per_million": 8},
    )
    return model


def make_judge(project: Project, model: ProviderModel, *, seed: int = 0) -> Judge:
    """Both orders, one sample, a verdict as JSON; another seed is another version."""
    from annotation.judging.protocol import default_template, get_protocol
    from annotation.services.judge import create_judge

    settings = get_protocol("mt_bench").defaults.to_dict() | {"max_tokens": 256, "seed": seed}
    return create_judge(
        project=project,
        name="Judge",
        model=model,
        protocol="mt_bench",
        template=default_template("mt_bench", "pairwise"),
        settings=settings,
        created_by=None,
    )


def queue(project: Project, judge: Judge, *, cap: Decimal = CAP, limit: int = 0) -> JudgeRun:
    from annotation.services.judge_run import queue_run

    selection: dict[str, Any] = {"takes": "all"} | ({"limit": limit} if limit else {})
    return queue_run(project=project, judge=judge, created_by=None, cap=cap, selection=selection)


def bodies_of(project: Project, judge: Judge, items: int) -> list[dict[str, Any]]:
    """What the judge sends about so many items, made beforehand: the plain loop only sends."""
    from annotation.judging.asking import chains, next_request
    from annotation.llm.bodies import body_of
    from annotation.selectors.judge import contents_of, spec_of

    numbers = list(project.items.order_by("pk").values_list("pk", flat=True)[:items])
    spec, bodies = spec_of(judge), []
    for content in contents_of(project, numbers).values():
        for chain in chains(spec, content):
            request = next_request(spec, content, chain, {}, nonce="0" * 20)
            assert request is not None
            bodies.append(body_of("scripted", request, CAN))
    return bodies


async def plain_loop(server: LlmServer, bodies: list[dict[str, Any]], concurrency: int) -> float:
    """Seconds for all calls of one shared client, so many at once; nothing is kept."""
    import openai

    client = openai.AsyncOpenAI(api_key="none", base_url=server.base_url, max_retries=0)
    left: Iterator[dict[str, Any]] = iter(bodies)

    async def ask() -> None:
        for body in left:
            await client.chat.completions.create(**body)

    async with client:
        began = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(concurrency)))
        return time.perf_counter() - began


@contextmanager
def allowed_origin(server: LlmServer) -> Iterator[None]:
    """For processes that are started meanwhile, too."""
    import os

    os.environ["PREFLOOP_EGRESS_ORIGINS"] = server.url
    try:
        yield
    finally:
        del os.environ["PREFLOOP_EGRESS_ORIGINS"]
