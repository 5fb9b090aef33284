"""Making people: the service and its command."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from core.errors import Conflict, PrefloopError
from core.models import AuditEvent, User
from core.services.user import create_user

pytestmark = pytest.mark.django_db


def test_it_makes_a_person_and_tells_the_audit_trail() -> None:
    user = create_user(username="ada", password="a long enough secret", is_admin=True)
    assert user.is_admin
    assert user.check_password("a long enough secret")
    assert AuditEvent.objects.filter(action="create_user", target_id=str(user.pk)).exists()


def test_a_name_is_given_once_whatever_its_case() -> None:
    create_user(username="ada", password="a long enough secret")
    with pytest.raises(Conflict):
        create_user(username="Ada", password="a long enough secret")


@pytest.mark.parametrize(("username", "password"), [("ada", "short"), ("a b", "a long enough one")])
def test_bad_input_makes_nobody(username: str, password: str) -> None:
    with pytest.raises(PrefloopError):
        create_user(username=username, password=password)
    assert not User.objects.exists()


def test_the_command_prints_a_generated_password() -> None:
    said = StringIO()
    call_command("create_user", "grace", "--projects", "--generate", stdout=said)
    password = said.getvalue().split()[-1].rstrip(".")
    user = User.objects.get(username="grace")
    assert user.check_password(password)
    assert user.can_create_projects
    assert not user.is_admin


def test_the_command_refuses_a_second_time() -> None:
    call_command("create_user", "grace", "--generate", stdout=StringIO())
    with pytest.raises(CommandError, match="already"):
        call_command("create_user", "grace", "--generate")
