"""Recipes: runs that follow one another. The rows are the plan; a sweep queues what is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.models import Project
from core.errors import Conflict, PrefloopError
from core.models import Job, User
from core.services.audit import record_event
from feedback.models import Snapshot
from training.alignment.methods import get_method
from training.models import ModelVersion, Recipe, RecipeStep, TrainingRun
from training.selectors.budget import check_positions, known_positions
from training.selectors.model import find_model, version_name
from training.services.client_key import KeyUsed, is_same
from training.services.rewards import check_rewards
from training.services.run import (
    _check_data,
    _check_demonstrations,
    _check_snapshot,
    cancel_run,
    checked_config,
    queue_run,
    resume_run,
)

# What a policy's rewards call the reward model of an earlier step.
MADE = "reward"


@dataclass(frozen=True)
class Stage:
    """What one step of a recipe asks for; `starts_from` and `rewarded_by` name earlier steps."""

    method: str
    config: Mapping[str, Any] = field(default_factory=dict)
    starts_from: int | None = None
    rewarded_by: int | None = None
    data_options: Mapping[str, Any] = field(default_factory=dict)


def rlhf_stages(
    *,
    sft: Mapping[str, Any],
    reward: Mapping[str, Any],
    policy: Mapping[str, Any],
    policy_method: str = "ppo",
) -> list[Stage]:
    """RLHF in three stages (Ouyang et al. 2022, section 3.1): demonstrations, a reward model from
    the preferences that starts at what came of them, and a policy that is rewarded by it."""
    return [
        Stage("sft", {"convert_data": True, **sft}),
        Stage("reward_bradley_terry", reward, starts_from=0),
        Stage(policy_method, policy, starts_from=0, rewarded_by=1),
    ]


@transaction.atomic
def start_recipe(
    *,
    project: Project,
    snapshot: Snapshot,
    criterion: str,
    base_model: str,
    stages: Sequence[Stage],
    created_by: User | None,
    name: str = "",
    client_key: str | None = None,
) -> Recipe:
    """Writes the plan and queues its first step. The others wait for the one before. A second call
    with the same client key returns the first call's recipe; with other settings it raises KeyUsed.
    """
    key = f"{project.pk}:{client_key}"[:64] if client_key else None
    values = {"project": project, "snapshot": snapshot, "name": name.strip()}
    kept = values | {"created_by": created_by, "name": values["name"] or "RLHF in three stages"}
    if key is None:
        recipe, created = Recipe.objects.create(**kept), True
    else:
        recipe, created = Recipe.objects.get_or_create(client_key=key, defaults=kept)
    steps = [_step_values(criterion, base_model, stage) for stage in stages]
    if not created:
        if not is_same(recipe, values) or not _has_steps(recipe, steps):
            raise KeyUsed("recipe", recipe.pk)
        return recipe
    find_model(project, base_model)
    _check_snapshot(project, snapshot)
    for stage in stages:
        _check_stage(project, snapshot, criterion, base_model, stage)
    RecipeStep.objects.bulk_create(
        RecipeStep(recipe=recipe, position=place, **step) for place, step in enumerate(steps)
    )
    record_event(actor=created_by, action="start_recipe", target=recipe, project_id=project.pk)
    _queue_step(recipe, recipe.steps.get(position=0))
    return recipe


def _step_values(criterion: str, base_model: str, stage: Stage) -> dict[str, Any]:
    return {
        "method": stage.method,
        "criterion": criterion,
        "base_model": "" if stage.starts_from is not None else base_model,
        "starts_from": stage.starts_from,
        "rewarded_by": stage.rewarded_by,
        "config": dict(stage.config),
        "data_options": dict(stage.data_options),
    }


def _has_steps(recipe: Recipe, steps: Sequence[Mapping[str, Any]]) -> bool:
    rows = list(recipe.steps.all())
    return len(rows) == len(steps) and all(map(is_same, rows, steps))


def _check_stage(
    project: Project, snapshot: Snapshot, criterion: str, base_model: str, stage: Stage
) -> None:
    """Now rather than hours later, when the stages before it are done. What they make is as large
    as the base model."""
    positions = known_positions(project, base_model)
    checked = checked_config(method=stage.method, config=stage.config, positions=positions)
    check_positions(project, base_model, checked)
    method = get_method(stage.method)
    if stage.rewarded_by is not None and not method.needs_rewards:
        raise PrefloopError(
            f"{method.title} does not learn from rewards, so it has no use for the reward model. "
            "Choose a method that does, such as PPO or GRPO.",
            policy_method="does not learn from rewards",
        )
    _check_sources(project, snapshot, criterion, checked, stage)
    _check_data(
        snapshot,
        stage.method,
        criterion,
        binary_from_pairs=stage.data_options.get("binary_from_pairs", False),
        convert=checked["convert_data"],
        rewrites=stage.data_options.get("rewrites", False),
    )
    try:
        _check_demonstrations(snapshot, method, criterion, checked)
    except PrefloopError as error:
        field = "reward" if method.trains == "reward" else "policy_method"
        raise PrefloopError(error.message, **{field: error.message.rstrip(".")}) from error


def _check_sources(
    project: Project, snapshot: Snapshot, criterion: str, config: Mapping[str, Any], stage: Stage
) -> None:
    """The stage's own sources; of the one that an earlier stage makes only the name is known."""
    own = config["reward_sources"]
    if stage.rewarded_by is not None:
        if MADE in own:
            raise PrefloopError(
                f"The reward model that the recipe trains is the source “{MADE}”. Give your own "
                "source another name.",
                reward_sources=f"“{MADE}” is the recipe's own reward model",
            )
        own = {**own, MADE: {"kind": "length"}}
    check_rewards(
        project=project,
        snapshot=snapshot,
        criterion=criterion,
        method=get_method(stage.method),
        config={**config, "reward_sources": own},
    )


def go_on(*, recipe: Recipe) -> TrainingRun | None:
    """Queues the next step when the one before has succeeded; else nothing. Safe to repeat."""
    with transaction.atomic():
        recipe = Recipe.objects.select_for_update().get(pk=recipe.pk)
        step = next_step(recipe)
        if step is None or recipe.stopped_at is not None:
            return None
        try:
            # A step that is refused leaves nothing behind but its reason.
            with transaction.atomic():
                return _queue_step(recipe, step)
        except PrefloopError as error:
            recipe.problem = error.message
            recipe.stopped_at = timezone.now()
            recipe.save(update_fields=["problem", "stopped_at"])
            return None


def next_step(recipe: Recipe) -> RecipeStep | None:
    """The step whose turn it is: the first without a run, when all before have succeeded."""
    for step in recipe.steps.select_related("run__job"):
        if step.run is None:
            return step
        if step.run.job.state != Job.State.SUCCEEDED:
            return None
    return None


def go_on_with_recipes() -> None:
    """The sweep's part: whatever crashed, the rows tell what comes next."""
    waiting = Recipe.objects.filter(stopped_at=None, steps__run=None).distinct()
    for recipe in waiting:
        go_on(recipe=recipe)


@transaction.atomic
def stop_recipe(*, recipe: Recipe, actor: User | None) -> None:
    """Stops the run in progress, and queues no further step."""
    if not recipe.steps.exclude(run__job__state=Job.State.SUCCEEDED).exists():
        raise Conflict("This recipe is done; there is nothing to stop.")
    stopped = Recipe.objects.filter(pk=recipe.pk, stopped_at=None).update(stopped_at=timezone.now())
    if not stopped:
        raise Conflict("This recipe is stopped already.")
    for step in recipe.steps.filter(run__job__state__in=["queued", "running"]):
        if step.run is not None:
            cancel_run(run=step.run, actor=actor)
    record_event(actor=actor, action="stop_recipe", target=recipe, project_id=recipe.project_id)


def resume_recipe(*, recipe: Recipe, actor: User | None) -> None:
    """Goes on with the step that failed or was stopped, from its last checkpoint, or queues the
    next."""
    with transaction.atomic():
        recipe = Recipe.objects.select_for_update().get(pk=recipe.pk)
        ended = _ended_step(recipe)
        recipe.stopped_at, recipe.problem = None, ""
        recipe.save(update_fields=["stopped_at", "problem"])
        if ended is not None and ended.run is not None:
            resume_run(run=ended.run, actor=actor)
        record_event(
            actor=actor, action="resume_recipe", target=recipe, project_id=recipe.project_id
        )
    go_on(recipe=recipe)


def _ended_step(recipe: Recipe) -> RecipeStep | None:
    """The step to take up again; None when the next one is still to be queued."""
    stopping = {"run__job__state": "running", "run__job__cancel_requested_at__isnull": False}
    if recipe.steps.filter(**stopping).exists():
        raise Conflict("The run is still saving its state; try again in a moment.")
    ended = recipe.steps.filter(run__job__state__in=["failed", "cancelled"]).first()
    if ended is None and (recipe.stopped_at is None or next_step(recipe) is None):
        raise Conflict("No step of this recipe has stopped; there is nothing to resume.")
    return ended


def _queue_step(recipe: Recipe, step: RecipeStep) -> TrainingRun:
    config = dict(step.config)
    if step.rewarded_by is not None:
        source = {"kind": "reward_model", "folders": [_version(recipe, step.rewarded_by)]}
        config["reward_sources"] = {**config.get("reward_sources", {}), MADE: source}
    model = step.base_model or _version(recipe, step.starts_from or 0)
    run = queue_run(
        project=recipe.project, snapshot=recipe.snapshot, method=step.method,
        criterion=step.criterion, base_model=model, config=config, created_by=recipe.created_by,
        name=f"{recipe.name}: step {step.position + 1}"[:100],
        client_key=f"recipe:{recipe.pk}:{step.position}", **step.data_options,
    )  # fmt: skip
    RecipeStep.objects.filter(pk=step.pk).update(run=run)
    return run


def _version(recipe: Recipe, position: int) -> str:
    run = recipe.steps.get(position=position).run
    version = ModelVersion.objects.filter(run=run).first() if run else None
    if version is None:
        raise PrefloopError(f"Step {position + 1} has left no model version to go on from.")
    return version_name(version)
