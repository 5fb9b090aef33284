"""People are made by who runs the instance or by an invitation; there is no default account."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from core.errors import Conflict, PrefloopError
from core.models import User
from core.services.audit import record_event
from core.sign_in_limits import forget_tries


@transaction.atomic
def create_user(
    *,
    username: str,
    password: str | None,
    name: str = "",
    email: str = "",
    is_admin: bool = False,
    can_create_projects: bool = False,
    actor: User | None = None,
) -> User:
    """Without a password the person chooses one by a link (password_link)."""
    if User.objects.filter(username__iexact=username).exists():
        raise Conflict(f"There is a user named {username} already.", field="username")
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
        if password is not None:
            validate_password(password, user)
    except ValidationError as error:
        raise PrefloopError(" ".join(error.messages)) from error
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        raise Conflict(f"There is a user named {username} already.", field="username") from error
    record_event(actor=actor, action="create_user", target=user, detail={"is_admin": is_admin})
    return user


@transaction.atomic
def set_password(*, user: User, password: str, actor: User | None) -> User:
    """Sessions are bound to the password, so all of them end."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise PrefloopError(" ".join(error.messages), field="new_password1") from error
    user.set_password(password)
    user.password_link_made_at = None
    user.save(update_fields=["password", "password_link_made_at"])
    forget_tries(user.username)
    record_event(actor=actor, action="set_password", target=user)
    return user
