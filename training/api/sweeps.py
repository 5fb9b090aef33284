"""Sweeps and recipes: several runs at once, and runs one after the other."""

from __future__ import annotations

from django.db.models import Prefetch
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import found, project_of
from annotation.models import Project
from core.api.endpoint import Endpoint
from core.api.schema import operation
from core.models import ApiToken
from training.api.runs import snapshot_of
from training.models import Recipe, Sweep, TrainingRun
from training.serializers import RecipeIn, RecipeOut, SweepIn, SweepOut
from training.services import (
    queue_sweep,
    resume_recipe,
    resume_sweep,
    start_recipe,
    stop_recipe,
    stop_sweep,
)
from training.services.recipe import rlhf_stages

READ, ADMIN = ApiToken.Scope.READ, ApiToken.Scope.ADMIN


class Sweeps(Endpoint):
    scope = ADMIN

    @operation(
        "Launch a sweep",
        request=SweepIn,
        response=SweepOut,
        code=201,
        description="One run for each point of the grid, all or none.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.TRAIN)
        given = self.given(SweepIn)
        given["snapshot"] = snapshot_of(project, given["snapshot"])
        sweep = queue_sweep(project=project, created_by=self.user, **given)
        return self.rendered(SweepOut, sweep, code=201)


class _OneSweep(Endpoint):
    scope = READ

    def sweep(self, needed: Capability = Capability.RESEARCH) -> Sweep:
        runs = TrainingRun.objects.select_related("job", "model_version")
        rows = Sweep.objects.prefetch_related(Prefetch("runs", runs))
        return found(rows, self, self.kwargs["sweep_id"], needed)[0]


class OneSweep(_OneSweep):
    @operation("A sweep with its runs", response=SweepOut)
    def get(self, request: Request, sweep_id: int) -> Response:
        return self.rendered(SweepOut, self.sweep())


class StopSweep(_OneSweep):
    scope = ADMIN

    @operation("Stop all runs of a sweep", response=SweepOut)
    def post(self, request: Request, sweep_id: int) -> Response:
        stop_sweep(sweep=self.sweep(Capability.TRAIN), actor=self.user)
        return self.rendered(SweepOut, self.sweep())


class ResumeSweep(_OneSweep):
    scope = ADMIN

    @operation(
        "Resume the runs of a sweep that were stopped",
        response=SweepOut,
        description="Each goes on from its last checkpoint. One that failed is resumed by itself.",
    )
    def post(self, request: Request, sweep_id: int) -> Response:
        resume_sweep(sweep=self.sweep(Capability.TRAIN), actor=self.user)
        return self.rendered(SweepOut, self.sweep())


class Recipes(Endpoint):
    scope = ADMIN

    @operation(
        "Start RLHF in three stages",
        request=RecipeIn,
        response=RecipeOut,
        code=201,
        description="Demonstrations, a reward model, a policy that it rewards. Each stage is a "
        "run that is queued when the one before it has succeeded.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.TRAIN)
        given = self.given(RecipeIn)
        given["snapshot"] = snapshot_of(project, given["snapshot"])
        names = ("sft", "reward", "policy", "policy_method")
        stages = rlhf_stages(**{name: given.pop(name) for name in names})
        recipe = start_recipe(project=project, created_by=self.user, stages=stages, **given)
        return self.rendered(RecipeOut, recipe, code=201)


class _OneRecipe(Endpoint):
    scope = READ

    def recipe(self, needed: Capability = Capability.RESEARCH) -> Recipe:
        rows = Recipe.objects.filter(project__in=Project.objects.visible_to(self.user))
        return found(rows, self, self.kwargs["recipe_id"], needed)[0]


class OneRecipe(_OneRecipe):
    @operation("A recipe with its steps", response=RecipeOut)
    def get(self, request: Request, recipe_id: int) -> Response:
        return self.rendered(RecipeOut, self.recipe())


class StopRecipe(_OneRecipe):
    scope = ADMIN

    @operation("Stop a recipe", response=RecipeOut, description="No further step begins.")
    def post(self, request: Request, recipe_id: int) -> Response:
        recipe = self.recipe(Capability.TRAIN)
        stop_recipe(recipe=recipe, actor=self.user)
        recipe.refresh_from_db()
        return self.rendered(RecipeOut, recipe)


class ResumeRecipe(_OneRecipe):
    scope = ADMIN

    @operation("Go on with a recipe that stopped", response=RecipeOut)
    def post(self, request: Request, recipe_id: int) -> Response:
        recipe = self.recipe(Capability.TRAIN)
        resume_recipe(recipe=recipe, actor=self.user)
        recipe.refresh_from_db()
        return self.rendered(RecipeOut, recipe)
