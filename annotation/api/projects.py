"""Projects, their protocol's versions, and the people in them."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework.generics import ListAPIView

from annotation.models import Project
from annotation.serializers import ProjectOut
from core.models import ApiToken


class Projects(ListAPIView[Project]):
    scope = ApiToken.Scope.READ
    serializer_class = ProjectOut

    def get_queryset(self) -> QuerySet[Project]:
        return Project.objects.visible_to(self.request.user)
