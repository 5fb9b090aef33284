"""The demo project: three people who can sign in, judged and open items, a model at work."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from annotation.models import Kind, Membership, Project
from annotation.services.import_data import import_data
from annotation.services.membership import set_membership
from annotation.services.project import create_project
from core.models import User
from core.services.audit import record_event
from training.selectors.model import SMALL_MODEL, base_models
from training.services.base_model import request_base_model
from training.services.sampling import request_base_samples

# The launcher prints this file at each start.
SIGN_INS = "demo-passwords.txt"
SAMPLED_PROMPTS = 6
SAMPLED_TOKENS = 120

OVERALL = {
    "key": "overall",
    "name": "Overall",
    "definition": "Which response would you rather have got?",
}
REASONS = ("more correct", "clearer", "better length", "better tone", "follows the instruction")
GUIDELINES = """\
Read the prompt, then each response to its end. Prefer the one that **you** would rather have got.

- A correct answer beats a well-written wrong one.
- Length is worth nothing by itself.
- If two are equally good, call it a tie. If both are no use, say *both bad*.
- Skip what you cannot judge, for example a language that you do not read.
"""


@dataclass(frozen=True)
class DemoPerson:
    username: str
    name: str
    may: str
    is_admin: bool = False
    can_create_projects: bool = False


PEOPLE = (
    DemoPerson("labeler", "Demo labeler", "judges items"),
    DemoPerson(
        "researcher", "Demo researcher", "imports, measures, freezes", can_create_projects=True
    ),
    DemoPerson("admin", "Demo admin", "trains, promotes, does all", is_admin=True),
)


@transaction.atomic
def load_demo(*, content: Path) -> Project | None:
    """The demo project, made once. None on an instance that has people of its own already."""
    existing = Project.objects.filter(is_demo=True).first()
    if existing is not None or User.objects.filter(is_demo=False).exists():
        return existing
    passwords = {person: secrets.token_urlsafe(9) for person in PEOPLE}
    labeler, researcher, admin = (_user(person, passwords[person]) for person in PEOPLE)
    project = create_project(
        creator=researcher,
        name="Demo: helpful answers",
        description="Everyday questions, answered by several writers of differing quality.",
        kinds=Kind.values,
        criteria=[OVERALL],
        reasons=REASONS,
        guidelines=GUIDELINES,
        overlap=2,
        is_demo=True,
    )
    set_membership(project=project, user=labeler, role=Membership.Role.LABELER, actor=researcher)
    import_data(project=project, format_name="jsonl", path=content, label="demo", actor=researcher)
    _start_model(project, admin)
    _write_sign_ins(Path(settings.DATA_DIR) / SIGN_INS, passwords)
    return project


def _user(person: DemoPerson, password: str) -> User:
    user, _ = User.objects.get_or_create(username=person.username, defaults={"is_demo": True})
    user.name = person.name
    user.is_admin = person.is_admin
    user.can_create_projects = person.can_create_projects
    user.set_password(password)
    user.save()
    record_event(actor=None, action="create_demo_user", target=user)
    return user


def _start_model(project: Project, admin: User) -> None:
    """While people look around, the small model answers some of the prompts."""
    if SMALL_MODEL not in {choice.name for choice in base_models()}:
        return
    request_base_model(created_by=admin)
    request_base_samples(
        project=project,
        model=SMALL_MODEL,
        created_by=admin,
        limit=SAMPLED_PROMPTS,
        batch="demo samples",
        max_new_tokens=SAMPLED_TOKENS,
    )


def _write_sign_ins(path: Path, passwords: dict[DemoPerson, str]) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        for person, password in passwords.items():
            file.write(f"{person.username:<12}{password:<16}{person.may}\n")
