"""What one may train with: methods with their options, and models to begin from."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import project_of
from core.api.endpoint import Endpoint
from core.api.schema import operation
from core.models import ApiToken
from training.alignment.config import TrainingConfig
from training.alignment.methods import methods
from training.alignment.options import Option, describe_options
from training.selectors.model import available_models
from training.serializers import BaseModelsOut, MethodsOut
from training.services.run import PATHS

# Arguments of their own in the launch call, or set by nobody outside the worker.
ELSEWHERE = {*PATHS, "method"}


class Methods(Endpoint):
    scope = ApiToken.Scope.READ

    @operation("Training methods and their options", response=MethodsOut)
    def get(self, request: Request) -> Response:
        described = [
            {**vars(method), "hyperparameters": _options(method.hyperparameters)}
            for method in methods()
        ]
        options = [one for one in _options(TrainingConfig) if one["name"] not in ELSEWHERE]
        return self.rendered(MethodsOut, {"methods": described, "options": options})


def _options(described: type) -> list[dict[str, Any]]:
    return [_plain(option) for option in describe_options(described)]


def _plain(option: Option) -> dict[str, Any]:
    return {**vars(option), "type": option.type.__name__}


class BaseModels(Endpoint):
    scope = ApiToken.Scope.READ

    @operation(
        "Models to begin from",
        response=BaseModelsOut,
        description="The operator's, and the project's own versions.",
    )
    def get(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        return self.rendered(BaseModelsOut, {"models": available_models(project)})
