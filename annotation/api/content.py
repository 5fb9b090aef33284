"""Prompts and responses."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import models
from annotation.access import Capability
from annotation.api.base import found, project_of
from annotation.models import Prompt
from annotation.serializers.content import (
    PromptFilters,
    PromptOut,
    PromptsIn,
    PromptsOut,
    ResponseFilters,
    ResponseOut,
    ResponsesIn,
    ResponsesOut,
)
from annotation.services.content import (
    NewPrompt,
    NewResponse,
    add_prompts,
    add_responses,
    get_generator,
)
from core.api.endpoint import Endpoint, ListEndpoint
from core.api.schema import operation
from core.errors import PrefloopError
from core.models import ApiToken

READ, WRITE = ApiToken.Scope.READ, ApiToken.Scope.WRITE
LARGE_BODY = 20_000_000


class Prompts(ListEndpoint[Prompt]):
    scope = {"GET": READ, "POST": WRITE}
    serializer_class = PromptOut
    filters = PromptFilters
    max_body_bytes = LARGE_BODY

    @operation("Prompts", response=PromptOut(many=True), parameters=[PromptFilters])
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Prompt]:
        project = project_of(self, Capability.RESEARCH)
        return Prompt.objects.filter(project=project, **self.chosen())

    @operation(
        "Add prompts",
        request=PromptsIn,
        response=PromptsOut,
        code=201,
        description="In the order given; a prompt that the project has already comes back as it "
        "is. The side (train or held out) is decided here, once.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        given = self.given(PromptsIn)["prompts"]
        prompts = add_prompts(project=project, prompts=[NewPrompt(**one) for one in given])
        return self.rendered(PromptsOut, {"prompts": prompts}, code=201)


class OnePrompt(Endpoint):
    scope = READ

    @operation("A prompt", response=PromptOut)
    def get(self, request: Request, prompt_id: int) -> Response:
        prompt, _ = found(Prompt.objects.all(), self, prompt_id, Capability.RESEARCH)
        return self.rendered(PromptOut, prompt)


class Responses(ListEndpoint[models.Response]):
    scope = {"GET": READ, "POST": WRITE}
    serializer_class = ResponseOut
    filters = ResponseFilters
    max_body_bytes = LARGE_BODY

    @operation("Responses", response=ResponseOut(many=True), parameters=[ResponseFilters])
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[models.Response]:
        project = project_of(self, Capability.RESEARCH)
        chosen = self.chosen()
        rows = models.Response.objects.filter(prompt__project=project)
        if "generator" in chosen:
            rows = rows.filter(generator__name=chosen["generator"])
        if "prompt" in chosen:
            rows = rows.filter(prompt=chosen["prompt"])
        return rows.select_related("generator")

    @operation(
        "Add responses",
        request=ResponsesIn,
        response=ResponsesOut,
        code=201,
        description="In the order given; what a generator has written already comes back as it is.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        given = self.given(ResponsesIn)["responses"]
        prompts = Prompt.objects.filter(project=project).in_bulk({one["prompt"] for one in given})
        named = {one["generator"]["name"]: one["generator"] for one in given}
        generators = {name: get_generator(**fields) for name, fields in named.items()}
        new = [
            _new_response(one, prompts, generators, f"responses[{place}].prompt")
            for place, one in enumerate(given)
        ]
        return self.rendered(ResponsesOut, {"responses": add_responses(responses=new)}, code=201)


def _new_response(
    given: dict[str, Any],
    prompts: dict[int, Prompt],
    generators: dict[str, models.Generator],
    field: str,
) -> NewResponse:
    if given["prompt"] not in prompts:
        raise PrefloopError(f"This project has no prompt {given['prompt']}.", field=field)
    return NewResponse(
        prompt=prompts[given["prompt"]],
        generator=generators[given["generator"]["name"]],
        messages=given["messages"],
        sampling=given["sampling"],
    )
