"""Keys of outside services: encrypted, bound to one origin, never read back by a person.

What a row holds is the id of the encrypting key, a colon, and a Fernet token of the secret together
with its origin: a row that is copied to another origin does not open there.
"""

from __future__ import annotations

import json

from cryptography.fernet import InvalidToken
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from core import secret_keys
from core.errors import PrefloopError
from core.models import Secret, User
from core.services.audit import record_event

LONGEST = 1_000
# Of a shorter one, four characters would tell too much.
SHOWN_FROM = 12


class SecretUnreadable(PrefloopError):
    code = "secret_unreadable"
    status = 409


@sensitive_variables("value")
@transaction.atomic
def create_secret(*, name: str, origin: str, value: str, actor: User | None) -> Secret:
    value = _checked(value)
    secret = Secret.objects.create(
        name=name,
        origin=origin,
        ciphertext=_sealed(value, origin),
        last_four=_last_four(value),
        created_by=actor,
    )
    _record(secret, actor, "create_secret")
    return secret


@sensitive_variables("value")
@transaction.atomic
def replace_secret(*, secret: Secret, origin: str, value: str, actor: User | None) -> Secret:
    """The row stays, so that what uses it goes on with the new one."""
    value = _checked(value)
    secret.origin = origin
    secret.ciphertext = _sealed(value, origin)
    secret.last_four = _last_four(value)
    secret.save(update_fields=["origin", "ciphertext", "last_four"])
    _record(secret, actor, "replace_secret")
    return secret


@transaction.atomic
def delete_secret(*, secret: Secret, actor: User | None) -> None:
    _record(secret, actor, "delete_secret")
    secret.delete()


@sensitive_variables("kept", "plain")
def open_secret(secret: Secret, origin: str) -> str:
    """The secret itself, for a call to this origin and no other."""
    key_id, _, token = bytes(secret.ciphertext).partition(b":")
    try:
        plain = secret_keys.cipher().decrypt(token)
    except InvalidToken:
        raise SecretUnreadable(_why_unreadable(secret, key_id.decode())) from None
    kept = json.loads(plain)
    if not kept["origin"] == secret.origin == origin:
        raise SecretUnreadable(
            f"The key {secret.name} is for {secret.origin}, not for {origin}. Enter it again."
        )
    return str(kept["value"])


def rotate_secrets() -> int:
    """Encrypts with the newest key what an older one encrypted; returns how many."""
    newest = secret_keys.key_ids()[0].encode()
    secrets = Secret.objects.order_by("pk").values_list("pk", flat=True)
    return sum(_rotate(pk, newest) for pk in list(secrets))


@transaction.atomic
def _rotate(pk: int, newest: bytes) -> bool:
    secret = Secret.objects.select_for_update().filter(pk=pk).first()
    if secret is None:
        return False
    key_id, _, token = bytes(secret.ciphertext).partition(b":")
    if key_id == newest:
        return False
    try:
        secret.ciphertext = newest + b":" + secret_keys.cipher().rotate(token)
    except InvalidToken:
        raise SecretUnreadable(_why_unreadable(secret, key_id.decode())) from None
    secret.save(update_fields=["ciphertext"])
    return True


@sensitive_variables("value")
def _sealed(value: str, origin: str) -> bytes:
    plain = json.dumps({"origin": origin, "value": value}).encode()
    newest = secret_keys.key_ids()[0].encode()
    return newest + b":" + secret_keys.cipher().encrypt(plain)


@sensitive_variables("value", "stripped")
def _checked(value: str) -> str:
    stripped = value.strip()
    if not stripped:
        raise PrefloopError("The key is empty.", field="key")
    if len(stripped) > LONGEST:
        raise PrefloopError(f"A key has at most {LONGEST} characters.", field="key")
    # It travels in a header, where a line end would begin another one.
    if not (stripped.isascii() and stripped.isprintable()) or " " in stripped:
        raise PrefloopError("A key has plain letters, digits and signs, and no space.", field="key")
    return stripped


def _last_four(value: str) -> str:
    return value[-4:] if len(value) >= SHOWN_FROM else ""


def _why_unreadable(secret: Secret, key_id: str) -> str:
    known = key_id in secret_keys.key_ids()
    why = "was changed by hand" if known else f"was encrypted with the key {key_id}, which is gone"
    return f"The key {secret.name} cannot be read: it {why}. Enter it again."


def _record(secret: Secret, actor: User | None, action: str) -> None:
    detail = {"name": secret.name, "origin": secret.origin, "last_four": secret.last_four}
    record_event(actor=actor, action=action, target=secret, detail=detail)
