"""People are made by whoever runs the instance; there is no sign-up and no default account."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from core.errors import Conflict, PrefloopError
from core.models import User
from core.services.audit import record_event


@transaction.atomic
def create_user(
    *,
    username: str,
    password: str,
    name: str = "",
    email: str = "",
    is_admin: bool = False,
    can_create_projects: bool = False,
) -> User:
    if User.objects.filter(username__iexact=username).exists():
        raise Conflict(f"There is a user named {username} already.")
    user = User(
        username=username,
        name=name,
        email=email,
        is_admin=is_admin,
        can_create_projects=can_create_projects,
    )
    user.set_password(password)
    try:
        user.full_clean()
        validate_password(password, user)
    except ValidationError as error:
        raise PrefloopError(" ".join(error.messages)) from error
    user.save()
    record_event(actor=None, action="create_user", target=user, detail={"is_admin": is_admin})
    return user
