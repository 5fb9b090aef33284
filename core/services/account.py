"""What admins do with accounts: rights, a link for a new password, an end, and being forgotten."""

from __future__ import annotations

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from core.errors import Conflict
from core.forgetting import erase_words
from core.models import ApiToken, Session, User
from core.password_links import link_tokens
from core.services.audit import erase_trail_of, record_event
from core.sign_in_limits import forget_tries


@transaction.atomic
def deactivate_user(*, user: User, actor: User) -> User:
    """Sessions end at once, tokens and links are refused; undone by reactivate_user."""
    _keep_an_admin(user)
    moved = User.objects.filter(pk=user.pk, is_active=True).update(is_active=False)
    user.refresh_from_db()
    if moved:
        Session.objects.filter(user=user).delete()
        record_event(actor=actor, action="deactivate_user", target=user)
    return user


@transaction.atomic
def reactivate_user(*, user: User, actor: User) -> User:
    if user.erased_at is not None:
        raise Conflict("This person was forgotten, so there is no account to bring back.")
    moved = User.objects.filter(pk=user.pk, is_active=False, erased_at=None).update(is_active=True)
    user.refresh_from_db()
    if moved:
        record_event(actor=actor, action="reactivate_user", target=user)
    return user


@transaction.atomic
def set_rights(*, user: User, is_admin: bool, can_create_projects: bool, actor: User) -> User:
    if not is_admin:
        _keep_an_admin(user)
    moved = (
        User.objects.filter(pk=user.pk, erased_at=None)
        .exclude(is_admin=is_admin, can_create_projects=can_create_projects)
        .update(is_admin=is_admin, can_create_projects=can_create_projects)
    )
    user.refresh_from_db()
    if moved:
        rights = {"is_admin": is_admin, "can_create_projects": can_create_projects}
        record_event(actor=actor, action="set_rights", target=user, detail=rights)
    return user


@transaction.atomic
def make_password_link(*, user: User, actor: User | None) -> str:
    """A path that serves once and is kept nowhere; it ends the link that was made before."""
    if not user.is_active:
        raise Conflict(f"The account of {user} is not active. Reactivate it first.")
    user.password_link_made_at = timezone.now()
    user.save(update_fields=["password_link_made_at"])
    record_event(actor=actor, action="make_password_link", target=user)
    number = urlsafe_base64_encode(force_bytes(user.pk))
    token = link_tokens.make_token(user)
    return reverse("core:choose-password", args=[number, token])


@transaction.atomic
def withdraw_password_link(*, user: User, actor: User) -> User:
    """It went to the wrong hands, say; password, sessions and account stay as they are."""
    open_link = User.objects.filter(pk=user.pk, password_link_made_at__isnull=False)
    moved = open_link.update(password_link_made_at=None)
    user.refresh_from_db()
    if moved:
        record_event(actor=actor, action="withdraw_password_link", target=user)
    return user


@transaction.atomic
def erase_user(*, user: User, actor: User) -> User:
    """Name, e-mail, free text and all that signs in. The row stays: the trail refers to it."""
    _keep_an_admin(user)
    erase_words(user)
    erase_trail_of(user)
    forget_tries(user.username)
    Session.objects.filter(user=user).delete()
    ApiToken.objects.filter(user=user).delete()
    user.username, user.name, user.email = f"forgotten-{user.pk}", "", ""
    user.is_active = user.is_admin = user.can_create_projects = False
    user.last_login = user.password_link_made_at = None
    user.erased_at = user.erased_at or timezone.now()
    user.set_unusable_password()
    user.save()
    record_event(actor=actor, action="forget_user", target=user)
    return user


def _keep_an_admin(user: User) -> None:
    """Admins who are changed wait for each other, so that two cannot dismiss one another."""
    admins = User.objects.select_for_update(no_key=True).filter(is_admin=True, is_active=True)
    left = list(admins.order_by("pk").values_list("pk", flat=True))
    if left == [user.pk]:
        raise Conflict("This is the only admin of the instance. Make somebody else an admin first.")
