"""Model versions, and which one is promoted."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework.generics import ListAPIView

from annotation.access import Capability, load_project
from core.models import ApiToken
from training.models import ModelVersion
from training.serializers import VersionOut


class Versions(ListAPIView[ModelVersion]):
    scope = ApiToken.Scope.READ
    serializer_class = VersionOut

    def get_queryset(self) -> QuerySet[ModelVersion]:
        project = load_project(self.request.user, self.kwargs["project_id"], Capability.RESEARCH)
        return ModelVersion.objects.filter(project=project)
