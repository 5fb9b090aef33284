"""Projects, people and rows to judge for measures and proofs; Django is set up by then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from annotation.models import Generator, Project, Prompt, Response
    from core.models import User

BATCH = 1000
CRITERIA = [{"key": "overall", "name": "Overall", "definition": "Which answer is better?"}]
SIZES = {"pairwise": 2, "listwise": 3, "thumbs": 1}


def make_work(
    labelers: int,
    items: int,
    *,
    overlap: int = 3,
    kinds: Sequence[str] = ("pairwise",),
    lease_seconds: int = 900,
) -> tuple[int, list[str]]:
    """The project's id and a signed-in session for each labeler.

    Distinct prompts with answers of a usual length; every answer bears a mark of its own.
    """
    from annotation.models import Project
    from annotation.services.project import create_project
    from core.models import User

    owner, _ = User.objects.get_or_create(username="owner", can_create_projects=True)
    project = create_project(
        creator=owner, name="Load", kinds=list(kinds), criteria=CRITERIA, overlap=overlap
    )
    # Shorter than the form allows, so that a proof need not wait.
    Project.objects.filter(pk=project.pk).update(lease_seconds=lease_seconds)
    for number, kind in enumerate(kinds):
        make_items(project, kind, range(number, items, len(kinds)))
    names = [f"labeler-{project.pk}-{number}" for number in range(labelers)]
    people = [User.objects.create(username=name) for name in names]
    return project.pk, [_session_of_member(project, person, owner) for person in people]


def make_items(project: Project, kind: str, numbers: range) -> None:
    from annotation.services.content import NewPrompt, add_prompts, add_responses, get_generator
    from annotation.services.item import create_items

    size = SIZES[kind]
    models = [get_generator(name=f"model {number}") for number in range(size)]
    for begin in range(0, len(numbers), BATCH):
        batch = numbers[begin : begin + BATCH]
        prompts = add_prompts(project=project, prompts=[NewPrompt(question(n)) for n in batch])
        new = [one for prompt in prompts for one in _answers(prompt, models)]
        responses: list[Response] = add_responses(responses=new)
        groups = [responses[at : at + size] for at in range(0, len(responses), size)]
        create_items(project=project, kind=kind, groups=groups)


def _answers(prompt: Prompt, models: Sequence[Generator]) -> list[Any]:
    from annotation.services.content import NewResponse

    return [
        NewResponse(prompt=prompt, generator=model, messages=answer(prompt.pk, side))
        for side, model in enumerate(models)
    ]


def hide_gold(project_id: int, count: int, *, gold_share: int, probe_share: int) -> None:
    """Makes some items gold, and mixes gold and probes into the stream; neither takes a slot."""
    from annotation.answers import AnswerValue
    from annotation.models import Project
    from annotation.services.gold import set_gold

    values = {
        "pairwise": AnswerValue(strength=1),
        "listwise": AnswerValue(ranks=(1, 2, 3)),
        "thumbs": AnswerValue(thumb=1),
    }
    shares = {"gold_share": gold_share, "probe_share": probe_share}
    Project.objects.filter(pk=project_id).update(**shares)
    project = Project.objects.get(pk=project_id)
    assert project.created_by is not None
    for item in project.items.order_by("rnd", "pk")[:count]:
        set_gold(item=item, answers={"overall": values[item.kind]}, actor=project.created_by)


def question(number: int) -> list[dict[str, str]]:
    words = " ".join(f"w{(number * 7919 + k * 104729) % 99991}" for k in range(25))
    return [{"role": "user", "content": f"Question {number}: explain how {words} fit together."}]


def answer(number: int, side: int) -> list[dict[str, str]]:
    text = "\n\n".join(
        f"**Point {k}.** Answer {side} to {number} says something useful, with `code` and a list:"
        "\n\n- first this\n- then that"
        for k in range(5)
    )
    return [{"role": "assistant", "content": f"{text}\n\ntoken-{number}-{side}"}]


def _session_of_member(project: Project, person: User, owner: User) -> str:
    from annotation.services.membership import set_membership

    set_membership(project=project, user=person, role="labeler", actor=owner)
    return session_of(person)


def session_of(user: User) -> str:
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    from core.sessions import SessionStore

    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)
