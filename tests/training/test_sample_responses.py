"""The loop closes: a promoted version's answers become items in the labelers' queue."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from annotation.models import Generator, Item, Response, Side
from annotation.services.claim_item import claim_item
from annotation.services.content import NewPrompt, add_prompts, get_generator
from core import jobs
from core.errors import Conflict, PrefloopError
from core.models import Job
from tests.cast import Cast, make_prompt, make_response
from tests.training.alignment.tiny import write_model
from tests.training.conftest import TINY, Launch
from training.models import ModelVersion, Round
from training.services import promote_version, request_base_samples, request_samples
from training.services.sampling import choose_prompts


def run_job(job: Job) -> dict[str, Any]:
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == (Job.State.SUCCEEDED, "")
    return job.result


def trained(launch: Launch, **changes: Any) -> ModelVersion:
    """A version as a run leaves it; the tests of the run itself do the training."""
    run = launch(**changes)
    number = run.project.model_versions.count() + 1
    name = f"{run.project_id}-{number}"
    write_model(settings.DATA_DIR / "versions" / name, seed=number)
    return ModelVersion.objects.create(
        project=run.project,
        number=number,
        run=run,
        folder=f"versions/{name}",
        lineage={},
        generator=get_generator(
            name=f"version {number} (project {run.project_id})",
            kind=Generator.Kind.MODEL_VERSION,
        ),
    )


@pytest.fixture
def version(launch: Launch, cast: Cast) -> ModelVersion:
    made = trained(launch)
    promote_version(version=made, replacing=None, by=cast.ada)
    return made


def test_new_items_wait_for_the_labelers(version: ModelVersion, cast: Cast) -> None:
    job = request_samples(version=version, created_by=cast.ada, limit=4, max_new_tokens=12)
    assert Round.objects.get().batch == "round 1"
    result = run_job(job)
    assert result == {"responses": 4, "items": 4}
    items = Item.objects.filter(project=cast.project, batch="round 1")
    assert items.count() == 4
    for item in items:
        writers = {response.generator.name for response in item.responses.all()}
        assert writers == {f"version 1 (project {cast.project.pk})", TINY}
    assignment = claim_item(project=cast.project, user=cast.lena)
    assert assignment is not None
    assert assignment.item.batch == "round 1"
    response = Response.objects.filter(generator=version.generator).first()
    assert response is not None
    assert {"seed", "temperature", "tokens", "top_p"} <= set(response.sampling)

    again = request_samples(version=version, created_by=cast.ada, limit=4, max_new_tokens=12)
    assert run_job(again)["items"] == 0
    assert Round.objects.count() == 1
    assert Response.objects.filter(generator=version.generator).count() == 4


def test_the_next_version_meets_the_one_before(
    version: ModelVersion, launch: Launch, cast: Cast
) -> None:
    second = trained(launch, base_model="version:1")
    with pytest.raises(Conflict, match="not promoted"):
        request_samples(version=second, created_by=cast.ada)
    promote_version(version=second, replacing=version, by=cast.ada)
    run_job(request_samples(version=second, created_by=cast.ada, limit=2, max_new_tokens=8))
    item = Item.objects.filter(batch="round 1").first()
    assert item is not None
    numbers = {response.generator.model_version.number for response in item.responses.all()}
    assert numbers == {1, 2}


@pytest.mark.usefixtures("tiny_model_folder")
def test_a_base_model_meets_what_is_there(cast: Cast) -> None:
    prompts = add_prompts(
        project=cast.project,
        prompts=[
            NewPrompt(messages=[{"role": "user", "content": f"Tell me about {thing}."}])
            for thing in ("tea", "rain", "bridges")
        ],
    )
    for prompt in prompts[:2]:
        make_response(prompt)
    job = request_base_samples(
        project=cast.project, model=TINY, created_by=cast.ada, limit=3, batch="demo",
        max_new_tokens=8,
    )  # fmt: skip
    assert run_job(job) == {"responses": 3, "items": 2}


def test_prompts_are_chosen_by_side_and_always_the_same(cast: Cast) -> None:
    for number in range(6):
        make_prompt(cast.project, side=Side.HELD_OUT if number < 2 else Side.TRAIN)
    everything = choose_prompts(cast.project, sides="all", limit=None)
    assert len(everything) == 6
    assert choose_prompts(cast.project, sides="all", limit=4) == everything[:4]
    assert len(choose_prompts(cast.project, sides="held_out", limit=None)) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "/etc"}, "is not offered here"),
        ({"limit": 0}, "At least one prompt"),
        ({"max_new_tokens": 0}, "between 1 and 4096"),
    ],
)
@pytest.mark.usefixtures("tiny_model_folder")
def test_bad_requests_are_refused(cast: Cast, changes: dict[str, Any], said: str) -> None:
    make_prompt(cast.project)
    given = {"limit": 1, "model": TINY} | changes
    with pytest.raises(PrefloopError, match=said):
        request_base_samples(project=cast.project, created_by=cast.ada, batch="x", **given)
