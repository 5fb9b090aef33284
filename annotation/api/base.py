"""How endpoints come to a project, and to what lies in one."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Model, QuerySet
from django.shortcuts import get_object_or_404

from annotation.access import Capability, load_project
from annotation.models import Project
from core.api.endpoint import Endpoint

M = TypeVar("M", bound=Model)


def project_of(endpoint: Endpoint, needed: Capability | None) -> Project:
    """The project of the path: 404 for strangers, 403 for weaker roles."""
    return load_project(endpoint.user, endpoint.kwargs["project_id"], needed)


def visible(queryset: QuerySet[M], endpoint: Endpoint, path: str = "project") -> QuerySet[M]:
    """Rows of projects that the user may see; `path` leads from a row to its project."""
    return queryset.filter(**{f"{path}__in": Project.objects.visible_to(endpoint.user)})


def found(
    queryset: QuerySet[M], endpoint: Endpoint, key: int, needed: Capability | None
) -> tuple[M, Project]:
    """A row of `queryset`, whose rows have a project, and its project with the user's rights."""
    row = get_object_or_404(visible(queryset, endpoint), pk=key)
    return row, load_project(endpoint.user, row.project_id, needed)  # type: ignore[attr-defined]
