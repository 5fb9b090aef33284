"""Rows of training that commands name by number."""

from __future__ import annotations

from django.core.management.base import CommandError

from annotation.models import Project
from training.models import ModelVersion


def find_version(project: Project, number: int) -> ModelVersion:
    version = project.model_versions.filter(number=number).first()
    if version is None:
        raise CommandError(f"“{project}” has no model version {number}.")
    return version
