"""Snapshots, and the files exported from them."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework.generics import ListAPIView

from annotation.access import Capability, load_project
from core.models import ApiToken
from feedback.models import Snapshot
from feedback.serializers import SnapshotOut


class Snapshots(ListAPIView[Snapshot]):
    scope = ApiToken.Scope.READ
    serializer_class = SnapshotOut

    def get_queryset(self) -> QuerySet[Snapshot]:
        project = load_project(self.request.user, self.kwargs["project_id"], Capability.RESEARCH)
        return Snapshot.objects.filter(project=project)
