"""A program that calls the API with a token, and a project with something of everything in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.test import Client

from annotation.models import (
    Assignment,
    Generator,
    Invitation,
    Item,
    JudgeCall,
    JudgeRun,
    JudgeTemplate,
    Kind,
    Membership,
    Response,
    Side,
)
from annotation.services.claim_item import claim_item
from annotation.services.invitation import create_invitation
from core.models import ApiToken, Job, User
from core.services.api_token import create_api_token
from feedback.models import Export, Snapshot
from feedback.services import freeze_snapshot
from tests.cast import Cast, make_item, make_prompt
from tests.feedback.votes import judged
from tests.judges import make_judge
from training.models import ModelVersion, Promotion, Recipe, RecipeStep, Sweep, TrainingRun


class Api:
    """`Api(user)` has every scope that the user may have."""

    def __init__(self, user: User | None, *scopes: str) -> None:
        self.client = Client(raise_request_exception=True)
        self.headers: dict[str, str] = {}
        if user is not None:
            allowed = [one for one in ApiToken.Scope.values if user.is_admin or one != "admin"]
            _, token = create_api_token(user=user, name="test", scopes=list(scopes or allowed))
            self.headers = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        kwargs: dict[str, Any] = {"headers": self.headers}
        if method != "GET":
            kwargs |= {"data": body if body is not None else {}, "content_type": "application/json"}
        return getattr(self.client, method.lower())(f"/api/{path}", **kwargs)

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self.client.get(f"/api/{path}", query or {}, headers=self.headers)

    def post(self, path: str, body: Any = None) -> Any:
        return self.call("POST", path, body)

    def put(self, path: str, body: Any = None) -> Any:
        return self.call("PUT", path, body)

    def patch(self, path: str, body: Any = None) -> Any:
        return self.call("PATCH", path, body)


@dataclass
class World:
    """Bob has the assignment open and owns the token; version 1 is promoted, version 2 is newer."""

    cast: Cast
    item: Item
    contested: Item
    assignment: Assignment
    membership: Membership
    invitation: Invitation
    snapshot: Snapshot
    export: Export
    run: TrainingRun
    sweep: Sweep
    recipe: Recipe
    versions: list[ModelVersion]
    job: Job
    token: ApiToken
    judge_call: JudgeCall
    judge_template: JudgeTemplate

    @property
    def names(self) -> dict[str, int]:
        """For paths: `projects/{project}`."""
        rows = {
            "project": self.cast.project,
            "membership": self.membership,
            "invitation": self.invitation,
            "prompt": self.item.prompt,
            "item": self.contested,
            "assignment": self.assignment,
            "snapshot": self.snapshot,
            "export": self.export,
            "run": self.run,
            "sweep": self.sweep,
            "recipe": self.recipe,
            "version": self.versions[1],
            "job": self.job,
            "token": self.token,
            "provider": self.judge_call.judge.model.provider,
            "provider_model": self.judge_call.judge.model,
            "judge": self.judge_call.judge,
            "judge_template": self.judge_template,
            "judge_run": self.judge_call.run,
            "judge_call": self.judge_call,
        }
        return {name: row.pk for name, row in rows.items()}

    def path(self, pattern: str) -> str:
        return pattern.format(**self.names)


def make_world(cast: Cast) -> World:
    """The snapshot is really frozen; run and versions are rows without files."""
    project = cast.project
    judged(project, Kind.PAIRWISE, 2, 3, 1, overlap=3)
    judged(project, Kind.PAIRWISE, -2, -1, side=Side.HELD_OUT)
    contested = judged(project, Kind.PAIRWISE, 2, -2)
    item = make_item(project, prompt=make_prompt(project, "What shall I cook tonight?"))
    Item.objects.exclude(pk=item.pk).update(priority=-1)
    assignment = claim_item(project=project, user=cast.bob)
    assert assignment is not None
    snapshot = freeze_snapshot(project=project, created_by=cast.rosa)
    export = Export.objects.create(
        project=project, snapshot=snapshot, shape="pairs", format="jsonl", created_by=cast.rosa
    )
    run = make_run(snapshot, cast.ada)
    versions = [make_version(run), make_version(run, run=None)]
    Promotion.objects.create(project=project, version=versions[0], action="promote", by=cast.ada)
    return World(
        cast=cast,
        item=item,
        contested=contested,
        assignment=assignment,
        membership=Membership.objects.get(project=project, user=cast.lena),
        invitation=create_invitation(project=project, role="labeler", actor=cast.mary)[0],
        snapshot=snapshot,
        export=export,
        run=run,
        sweep=make_sweep(run),
        recipe=make_recipe(run),
        versions=versions,
        job=run.job,
        token=create_api_token(user=cast.bob, name="mine", scopes=["read"])[0],
        judge_call=make_judge_call(contested, cast.rosa),
        judge_template=JudgeTemplate.objects.create(
            project=project,
            name="Ours",
            kind="pairwise",
            answer_format="choice",
            body="{prompt} {response_a} {response_b}",
        ),
    )


def make_judge_call(item: Item, by: User) -> JudgeCall:
    """The first call of a judge's run, which waits for a worker; its model is nowhere."""
    project = item.project
    judge = make_judge(project)
    job = Job.objects.create(kind="judge", queue="judge", project_id=project.pk, created_by=by)
    run = JudgeRun.objects.create(project=project, judge=judge, job=job, cap=1, created_by=by)
    Job.objects.filter(pk=job.pk).update(args={"run": run.pk})
    return JudgeCall.objects.create(
        judge=judge, run=run, item=item, call_key="0" * 64, purpose="judge/verdict",
        shown_order=[0, 1], state="done", reply={"text": "A"},
    )  # fmt: skip


def make_run(snapshot: Snapshot, by: User) -> TrainingRun:
    project = snapshot.project_id
    job = Job.objects.create(kind="train", queue="gpu", project_id=project, created_by=by)
    return TrainingRun.objects.create(
        project_id=project,
        snapshot=snapshot,
        method="dpo",
        base_model="SmolLM2-135M-Instruct",
        criterion="overall",
        config={"seed": 0},
        job=job,
        created_by=by,
    )


def make_sweep(run: TrainingRun) -> Sweep:
    """Of this one run."""
    sweep = Sweep.objects.create(project=run.project, name="Seeds", grid={"seed": [0]})
    TrainingRun.objects.filter(pk=run.pk).update(sweep=sweep)
    return sweep


def make_recipe(run: TrainingRun) -> Recipe:
    """Of one step, which has begun as this run."""
    recipe = Recipe.objects.create(project=run.project, snapshot=run.snapshot, name="One step")
    RecipeStep.objects.create(
        recipe=recipe,
        position=0,
        method=run.method,
        criterion=run.criterion,
        base_model=run.base_model,
        run=run,
    )
    return recipe


def make_version(made_by: TrainingRun, **fields: Any) -> ModelVersion:
    project = made_by.project
    number = project.model_versions.count() + 1
    generator = Generator.objects.create(
        name=f"version {number} (project {project.pk})", kind=Generator.Kind.MODEL_VERSION
    )
    return ModelVersion.objects.create(
        **{
            "project": project,
            "number": number,
            "run": made_by,
            "generator": generator,
            "folder": f"versions/{project.pk}-{number}",
            "lineage": {"method": "dpo"},
            **fields,
        }
    )


def responses_of(item: Item) -> list[Response]:
    """In canonical order."""
    return [row.response for row in item.item_responses.order_by("position")]
