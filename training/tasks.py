"""The jobs of training. Their work is in the services; the library runs in child processes."""

from __future__ import annotations

from typing import Any

from core import jobs
from core.jobs import JobContext, Queue, job_kind
from training.services.base_model import ensure_base_model
from training.services.recipe import go_on_with_recipes
from training.services.sample_responses import sample_responses
from training.services.supervise import supervise_run

# Each attempt goes on from where the one before stopped, so several may be needed for a long run.
ATTEMPTS = 5


@job_kind("train", queue=Queue.GPU, max_attempts=ATTEMPTS)
def train(context: JobContext) -> dict[str, Any]:
    return supervise_run(context=context)


@job_kind("sample_responses", queue=Queue.GPU, max_attempts=ATTEMPTS)
def sample(context: JobContext) -> dict[str, Any]:
    return sample_responses(context=context)


@job_kind("ensure_base_model", queue=Queue.GPU)
def prepare_base_model(context: JobContext) -> dict[str, Any]:
    ensure_base_model(context=context, name=context.args["name"])
    return {"name": context.args["name"]}


jobs.sweeper(go_on_with_recipes)
