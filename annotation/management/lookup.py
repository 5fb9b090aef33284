"""Rows that commands name by number or name."""

from __future__ import annotations

from django.core.management.base import CommandError

from annotation.models import Project
from core.models import User


def find_project(wanted: str) -> Project:
    found = list(Project.objects.filter(name=wanted)[:2])
    if not found and wanted.isdecimal():
        found = list(Project.objects.filter(pk=int(wanted)))
    if len(found) != 1:
        many = "Several projects have" if found else "No project has"
        raise CommandError(f"{many} the name or number {wanted!r}; give the number.")
    return found[0]


def find_user(username: str | None) -> User | None:
    if username is None:
        return None
    user = User.objects.filter(username__iexact=username).first()
    if user is None:
        raise CommandError(f"There is no user {username!r}.")
    return user
