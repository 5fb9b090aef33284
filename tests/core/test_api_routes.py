"""Every operation of the API: who may, with which scope, and what others are told."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.db import transaction
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLPattern, URLResolver

from core.models import ApiToken, User
from tests.api import Api, World, make_world
from tests.cast import Cast

# The weakest role that may do it. "member": also somebody who is paused. "instance": its admins;
# what is no project's is no secret, so others are refused rather than told that there is nothing.
ROLES = {
    "GET projects": "anyone",
    "POST projects": "creator",
    "GET projects/{project}": "member",
    "PATCH projects/{project}": "manager",
    "GET projects/{project}/protocols": "member",
    "POST projects/{project}/protocols": "manager",
    "GET projects/{project}/work": "manager",
    "GET projects/{project}/pause-rules": "manager",
    "PUT projects/{project}/pause-rules": "manager",
    "GET projects/{project}/memberships": "manager",
    "POST projects/{project}/memberships": "manager",
    "POST memberships/{membership}/pause": "manager",
    "POST memberships/{membership}/restore": "manager",
    "POST memberships/{membership}/remove": "manager",
    "GET projects/{project}/invitations": "manager",
    "POST projects/{project}/invitations": "manager",
    "POST invitations/{invitation}/revoke": "manager",
    "GET own-judgments": "anyone",
    "GET projects/{project}/prompts": "researcher",
    "POST projects/{project}/prompts": "researcher",
    "GET prompts/{prompt}": "researcher",
    "GET projects/{project}/responses": "researcher",
    "POST projects/{project}/responses": "researcher",
    "GET projects/{project}/items": "researcher",
    "POST projects/{project}/items": "researcher",
    "GET items/{item}": "researcher",
    "POST items/{item}/close": "researcher",
    "POST items/{item}/reopen": "researcher",
    "POST items/{item}/extend": "researcher",
    "POST items/{item}/priority": "researcher",
    "POST projects/{project}/import": "researcher",
    "GET projects/{project}/jobs": "researcher",
    "POST projects/{project}/claim": "labeler",
    "GET assignments": "anyone",
    "GET assignments/{assignment}": "bob",
    "POST assignments/{assignment}/submit": "bob",
    "POST assignments/{assignment}/skip": "bob",
    "POST assignments/{assignment}/extend": "bob",
    "GET projects/{project}/judgments": "researcher",
    "POST projects/{project}/feedback": "researcher",
    "GET projects/{project}/agreement": "researcher",
    "POST projects/{project}/agreement": "researcher",
    "GET projects/{project}/quality": "researcher",
    "POST projects/{project}/quality": "researcher",
    "GET projects/{project}/judge-cards": "researcher",
    "POST projects/{project}/judge-cards": "researcher",
    "GET projects/{project}/judge-cards/{judge}": "researcher",
    "POST projects/{project}/judge-cards/{judge}/ask-more": "researcher",
    "GET projects/{project}/judge-gate": "researcher",
    "PUT projects/{project}/judge-gate": "manager",
    "GET projects/{project}/policy": "researcher",
    "PUT projects/{project}/policy": "researcher",
    "POST projects/{project}/policy/preview": "researcher",
    "GET projects/{project}/annotators": "researcher",
    "GET projects/{project}/preferences": "researcher",
    "GET projects/{project}/adjudication": "reviewer",
    "POST projects/{project}/resolve": "researcher",
    "GET items/{item}/adjudicate": "reviewer",
    "POST items/{item}/adjudicate": "reviewer",
    "DELETE items/{item}/adjudicate": "reviewer",
    "GET projects/{project}/snapshots": "researcher",
    "POST projects/{project}/snapshots": "researcher",
    "GET snapshots/{snapshot}": "researcher",
    "POST snapshots/{snapshot}/verify": "researcher",
    "GET projects/{project}/exports": "researcher",
    "POST projects/{project}/exports": "researcher",
    "GET exports/{export}": "researcher",
    "GET exports/{export}/file": "researcher",
    "GET methods": "anyone",
    "GET projects/{project}/base-models": "researcher",
    "GET projects/{project}/runs": "researcher",
    "POST projects/{project}/runs": "admin",
    "POST projects/{project}/runs/estimate": "admin",
    "GET runs/{run}": "researcher",
    "GET runs/{run}/metrics": "researcher",
    "GET runs/{run}/log": "researcher",
    "POST runs/{run}/cancel": "admin",
    "POST runs/{run}/resume": "admin",
    "POST projects/{project}/sweeps": "admin",
    "GET sweeps/{sweep}": "researcher",
    "POST sweeps/{sweep}/stop": "admin",
    "POST sweeps/{sweep}/resume": "admin",
    "POST projects/{project}/recipes": "admin",
    "GET recipes/{recipe}": "researcher",
    "POST recipes/{recipe}/stop": "admin",
    "POST recipes/{recipe}/resume": "admin",
    "GET projects/{project}/versions": "researcher",
    "GET versions/{version}": "researcher",
    "POST versions/{version}/promote": "admin",
    "POST versions/{version}/roll-back": "admin",
    "POST versions/{version}/sample": "admin",
    "GET projects/{project}/promotions": "researcher",
    "GET projects/{project}/rounds": "researcher",
    "GET jobs/{job}": "researcher, unseen by others",
    "POST jobs/{job}/cancel": "admin, unseen by others",
    "POST jobs/{job}/resume": "admin, unseen by others",
    "GET tokens": "anyone",
    "POST tokens/{token}/revoke": "bob",
    "GET providers": "instance",
    "POST providers": "instance",
    "GET providers/{provider}": "instance",
    "PATCH providers/{provider}": "instance",
    "PUT providers/{provider}/key": "instance",
    "POST providers/{provider}/retire": "instance",
    "POST providers/{provider}/restore": "instance",
    "GET providers/{provider}/offered-models": "instance",
    "POST providers/{provider}/models": "instance",
    "POST provider-models/{provider_model}/probe": "instance",
    "GET provider-models/{provider_model}/prices": "instance",
    "POST provider-models/{provider_model}/prices": "instance",
    "GET judge-protocols": "anyone",
    "GET projects/{project}/judge-models": "researcher",
    "GET projects/{project}/judges": "researcher",
    "POST projects/{project}/judges": "researcher",
    "GET judges/{judge}": "researcher",
    "PUT judges/{judge}/takes": "researcher",
    "GET judges/{judge}/calls": "researcher",
    "GET judge-calls/{judge_call}": "researcher",
    "GET projects/{project}/judge-templates": "researcher",
    "POST projects/{project}/judge-templates": "researcher",
    "POST projects/{project}/judge-drafts": "researcher",
    "GET judge-templates/{judge_template}": "researcher",
    "GET projects/{project}/judge-runs": "researcher",
    "POST judges/{judge}/runs": "researcher",
    "POST judges/{judge}/runs/estimate": "researcher",
    "GET judge-runs/{judge_run}": "researcher",
    "POST judge-runs/{judge_run}/pause": "researcher",
    "POST judge-runs/{judge_run}/resume": "researcher",
    "POST judge-runs/{judge_run}/stop": "researcher",
}
ORDER = ["labeler", "reviewer", "researcher", "manager", "admin"]
UNSEEN = ", unseen by others"


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


def classes(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[tuple[str, type]]:
    for entry in (resolver or get_resolver()).url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from classes(entry, route)
        elif isinstance(entry, URLPattern) and route.startswith("api/"):
            path = re.sub(r"<int:(\w+)_id>", r"{\1}", route.removeprefix("api/"))
            if hasattr(entry.callback, "cls") and path not in {"schema/", "docs/"}:
                yield path, entry.callback.cls


def operations() -> dict[str, str]:
    """“GET projects” to the scope that it needs."""
    found = {}
    for path, view in classes():
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if hasattr(view, method.lower()):
                scope = view.scope  # type: ignore[attr-defined]
                found[f"{method} {path}"] = scope[method] if isinstance(scope, dict) else scope
    return found


def people(cast: Cast) -> dict[str, User]:
    return {
        "labeler": cast.bob,
        "reviewer": cast.rita,
        "researcher": cast.rosa,
        "manager": cast.mary,
        "admin": cast.ada,
    }


def statuses(world: World, user: User | None, operation: str) -> int:
    """By session, which carries no scope; nothing of it is kept."""
    method, path = operation.split(" ", 1)
    client = Client()
    if user is not None:
        client.force_login(user)
    with transaction.atomic():
        answer = getattr(client, method.lower())(
            f"/api/{world.path(path)}",
            **({} if method == "GET" else {"content_type": "application/json"}),
        )
        transaction.set_rollback(True)
    return int(answer.status_code)


def test_the_table_has_every_operation() -> None:
    assert set(operations()) == set(ROLES)


def test_without_a_token_nobody_gets_in(world: World) -> None:
    let_in = [one for one in ROLES if statuses(world, None, one) != 401]
    assert let_in == []


def test_a_token_needs_the_scope(world: World) -> None:
    apis = {
        scope: Api(world.cast.ada, *(set(ApiToken.Scope.values) - {scope}))
        for scope in ApiToken.Scope.values
    }
    let_in = []
    for operation, scope in operations().items():
        method, path = operation.split(" ", 1)
        answer = apis[scope].call(method, world.path(path))
        if answer.status_code != 403 or answer.json()["code"] != "not_allowed":
            let_in.append(operation)
    assert let_in == []


def test_strangers_are_told_that_there_is_nothing(world: World) -> None:
    seen = []
    for operation, role in ROLES.items():
        if role not in {"anyone", "creator", "instance"}:
            status = statuses(world, world.cast.mallory, operation)
            if status != 404:
                seen.append((operation, status))
    assert seen == []


def test_weaker_roles_are_refused(world: World) -> None:
    let_in = []
    for operation, needed in ROLES.items():
        role = needed.removesuffix(UNSEEN)
        if role not in ORDER:
            continue
        for weaker in ORDER[: ORDER.index(role)]:
            status = statuses(world, people(world.cast)[weaker], operation)
            hidden = needed.endswith(UNSEEN) and weaker in {"labeler", "reviewer"}
            if status != (404 if hidden else 403):
                let_in.append((operation, weaker, status))
    assert let_in == []


def test_what_is_the_instances_is_its_admins(world: World) -> None:
    refused = {
        statuses(world, user, operation)
        for operation, role in ROLES.items()
        if role == "instance"
        for user in (world.cast.mallory, world.cast.mary, world.cast.rosa)
    }
    assert refused == {403}


def test_what_is_ones_own_is_nobody_elses(world: World) -> None:
    """An admin and a manager do not see what was asked of Bob."""
    for operation, role in ROLES.items():
        if role == "bob":
            for user in (world.cast.ada, world.cast.mary, world.cast.lena):
                assert statuses(world, user, operation) == 404, operation


def test_a_paused_member_looks_and_does_nothing(world: World) -> None:
    world.cast.project.memberships.filter(user=world.cast.bob).update(state="paused")
    for operation, role in ROLES.items():
        if role == "member":
            assert statuses(world, world.cast.bob, operation) == 200, operation
        if role in ORDER or (role == "bob" and "assignments" in operation and "POST" in operation):
            assert statuses(world, world.cast.bob, operation) == 403, operation


def test_the_weakest_role_that_may_gets_in(world: World) -> None:
    """With an empty body: what needs more than that says 400, but nobody is refused."""
    users = people(world.cast) | {"bob": world.cast.bob, "member": world.cast.bob}
    users |= {"anyone": world.cast.mallory, "creator": world.cast.ada, "instance": world.cast.ada}
    refused = []
    for operation, needed in ROLES.items():
        status = statuses(world, users[needed.removesuffix(UNSEEN)], operation)
        if status not in {200, 201, 202, 400, 409}:
            refused.append((operation, status))
    assert refused == []


def test_a_method_that_is_not_there(world: World) -> None:
    assert Api(world.cast.ada).call("DELETE", world.path("projects/{project}")).status_code == 405
    assert Api(world.cast.ada).call("OPTIONS", "projects").status_code == 405
    assert Api(world.cast.ada).client.head("/api/projects").status_code == 401


def test_a_session_needs_the_csrf_token(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.cast.bob)
    path = f"/api/{world.path('projects/{project}/claim')}"
    assert client.post(path, content_type="application/json").status_code == 403
