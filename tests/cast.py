"""The people of the tests, and small real rows to judge, built without services."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass
from typing import Any

from annotation.models import (
    Annotator,
    Generator,
    Item,
    ItemResponse,
    Kind,
    Membership,
    Project,
    Prompt,
    PromptCluster,
    Protocol,
    Response,
    Side,
)
from core.models import User

CRITERIA = [{"key": "overall", "name": "Overall", "definition": "Which response is better?"}]
_numbers = itertools.count(1)


@dataclass
class Cast:
    """Mallory is a stranger to the project; Ada administers the instance."""

    project: Project
    mary: User  # manager
    rosa: User  # researcher
    rita: User  # reviewer
    bob: User  # labeler
    lena: User  # labeler
    mallory: User
    ada: User


def make_user(username: str, **fields: Any) -> User:
    user = User(username=username, name=username.title(), **fields)
    user.set_password("correct horse battery")
    user.save()
    return user


def make_project(**fields: Any) -> Project:
    project = Project.objects.create(**{"name": "Helpful answers", "overlap": 2, **fields})
    Protocol.objects.create(
        project=project, kinds=Kind.values, criteria=CRITERIA, reasons=["clear"]
    )
    return project


def make_cast() -> Cast:
    project = make_project()
    roles = {"mary": "manager", "rosa": "researcher", "rita": "reviewer", "bob": "labeler"}
    people = {name: make_user(name) for name in [*roles, "lena", "mallory"]}
    for name, role in {**roles, "lena": "labeler"}.items():
        Membership.objects.create(project=project, user=people[name], role=role)
    return Cast(project=project, ada=make_user("ada", is_admin=True), **people)


def make_prompt(project: Project, text: str = "", *, side: str = Side.TRAIN) -> Prompt:
    text = text or f"What is the number {next(_numbers)}?"
    messages = [{"role": "user", "content": text}]
    return Prompt.objects.create(
        project=project,
        messages=messages,
        content_hash=hashlib.sha256(json.dumps(messages).encode()).hexdigest(),
        cluster=PromptCluster.objects.create(side=side),
        side=side,
    )


def make_response(prompt: Prompt, text: str = "", *, generator: str = "model a") -> Response:
    text = text or f"An answer, the {next(_numbers)}th."
    return Response.objects.create(
        prompt=prompt,
        generator=Generator.objects.get_or_create(name=generator)[0],
        messages=[{"role": "assistant", "content": text}],
        content_hash=hashlib.sha256(text.encode()).hexdigest(),
    )


def make_item(
    project: Project, *, kind: str = Kind.PAIRWISE, prompt: Prompt | None = None, **fields: Any
) -> Item:
    """With two responses (pairwise), three (listwise) or one (thumbs), of different models."""
    prompt = prompt or make_prompt(project)
    size = {Kind.PAIRWISE: 2, Kind.LISTWISE: 3, Kind.THUMBS: 1}[Kind(kind)]
    responses = [make_response(prompt, generator=f"model {letter}") for letter in "abc"[:size]]
    overlap = fields.pop("overlap", project.overlap)
    item = Item.objects.create(
        project=project,
        prompt=prompt,
        kind=kind,
        overlap=overlap,
        open_slots=overlap,
        content_key=hashlib.sha256(f"item {next(_numbers)}".encode()).hexdigest(),
        **fields,
    )
    for position, response in enumerate(sorted(responses, key=lambda response: response.uuid)):
        ItemResponse.objects.create(item=item, response=response, position=position)
    return item


def annotator_of(user: User) -> Annotator:
    return Annotator.objects.get_or_create(user=user)[0]
