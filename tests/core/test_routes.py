"""Every route declares who may use it, and keeps strangers out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from core.models import ApiToken
from tests.cast import Cast

# Pages that answer anybody; each is here by a decision.
PUBLIC = {
    "core:sign-in",
    "core:sign-out",
    "core:home",
    "core:theme",
    "core:healthz",
    "core:readyz",
    # A link for a new password, made by an admin.
    "core:choose-password",
    # An invitation's link, and the page on which its bearer joins.
    "annotation:invitation",
    "annotation:join",
}
# The schema and its page come from drf-spectacular, which asks for a signed-in user itself.
SCHEMA = {"core-api:schema", "core-api:docs"}


def walk(
    resolver: URLResolver, prefix: str = "", space: str = ""
) -> Iterator[tuple[str, str, Any]]:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from walk(entry, route, entry.namespace or space)
        elif isinstance(entry, URLPattern):
            yield route, f"{space}:{entry.name}", entry.callback


def routes() -> list[tuple[str, str, Any]]:
    return list(walk(get_resolver()))


def policy_of(callback: Any) -> str | None:
    """An HTML view's declared policy, or an API view's scope for each of its methods."""
    view_class = getattr(callback, "cls", None)
    if view_class is None or not issubclass(view_class, APIView):
        return getattr(callback, "policy", None)
    scope = getattr(view_class, "scope", None)
    methods = {m for m in ("get", "post", "put", "patch", "delete") if hasattr(view_class, m)}
    scopes = {scope.get(m.upper()) for m in methods} if isinstance(scope, dict) else {scope}
    return "api" if scopes <= set(ApiToken.Scope.values) else None


def test_every_route_declares_a_policy() -> None:
    undeclared = [
        name for _, name, callback in routes() if policy_of(callback) is None and name not in SCHEMA
    ]
    assert undeclared == []


def test_only_the_listed_routes_are_public() -> None:
    public = {name for _, name, callback in routes() if policy_of(callback) == "public"}
    assert public <= PUBLIC


def filled(route: str, cast: Cast) -> str:
    """The route's path with the cast's project and the number 1 for anything else."""
    path = "/" + route
    while "<" in path:
        start, end = path.index("<"), path.index(">")
        value = str(cast.project.pk) if "project_id" in path[start:end] else "1"
        path = path[:start] + value + path[end + 1 :]
    return path


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_nobody_gets_in_without_signing_in(cast: Cast, client: Client, method: str) -> None:
    let_in = []
    for route, name, _ in routes():
        if name in PUBLIC:
            continue
        response = getattr(client, method)(filled(route, cast))
        sent_to_sign_in = response.status_code == 302 and "sign-in" in response["Location"]
        if not sent_to_sign_in and response.status_code not in {401, 403, 405}:
            let_in.append((name, response.status_code))
    assert let_in == []


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_stranger_does_not_see_a_project(cast: Cast, client: Client, method: str) -> None:
    """Every route below a project answers 404, whatever lies beyond (405 tells nothing)."""
    client.force_login(cast.mallory)
    seen = []
    for route, name, _ in routes():
        if "project_id" in route:
            response = getattr(client, method)(filled(route, cast))
            if response.status_code not in {404, 405}:
                seen.append((name, response.status_code))
    assert seen == []


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_labeler_only_judges(cast: Cast, client: Client, method: str) -> None:
    """Routes that need more than judging answer 403 (or 404, or 405) to a labeler."""
    client.force_login(cast.bob)
    let_in = []
    for route, name, callback in routes():
        policy = policy_of(callback) or ""
        open_to_labelers = policy in {"project: judge", "project: member"}
        if policy.startswith("project:") and not open_to_labelers:
            response = getattr(client, method)(filled(route, cast))
            if response.status_code not in {403, 404, 405}:
                let_in.append((name, response.status_code))
    assert let_in == []


def test_only_admins_pass_the_admin_routes(cast: Cast, client: Client) -> None:
    client.force_login(cast.mary)
    let_in = []
    for route, name, callback in routes():
        if policy_of(callback) in {"admin", "project: train and promote models"}:
            for method in (client.get, client.post):
                response = method(filled(route, cast))
                if response.status_code not in {403, 404, 405}:
                    let_in.append((name, response.status_code))
    assert let_in == []
