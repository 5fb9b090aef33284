"""What every page of a project's training needs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from annotation.access import Capability
from annotation.models import Project


def render_page(
    request: HttpRequest,
    template: str,
    project: Project,
    context: dict[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    may = project.may
    shared = {"project": project, "may_train": Capability.TRAIN in may}
    return render(request, template, shared | context, status=status)
