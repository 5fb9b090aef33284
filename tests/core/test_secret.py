"""Provider keys: encrypted, bound to an origin, write-only, readable through a rotation."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection

from core import secret_keys
from core.errors import PrefloopError
from core.models import AuditEvent, Secret
from core.services.secret import (
    SecretUnreadable,
    create_secret,
    delete_secret,
    open_secret,
    replace_secret,
    rotate_secrets,
)

ORIGIN = "https://api.example.org"
CANARY = "sk-canary-3f9d1c77e0b24a5588aa-WXYZ"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def make(value: str = CANARY, name: str = "one") -> Secret:
    return create_secret(name=name, origin=ORIGIN, value=value, actor=None)


def test_what_was_stored_opens_for_its_origin() -> None:
    assert open_secret(Secret.objects.get(pk=make().pk), ORIGIN) == CANARY


def test_another_origin_gets_nothing() -> None:
    secret = make()
    with pytest.raises(SecretUnreadable, match=r"not for https://evil\.example"):
        open_secret(secret, "https://evil.example")


def test_a_row_that_was_turned_to_another_origin_does_not_open() -> None:
    secret = make()
    Secret.objects.filter(pk=secret.pk).update(origin="https://evil.example")
    secret.refresh_from_db()
    for origin in (ORIGIN, "https://evil.example"):
        with pytest.raises(SecretUnreadable):
            open_secret(secret, origin)


def test_a_ciphertext_of_another_row_opens_for_its_own_origin_only() -> None:
    other = create_secret(name="other", origin="https://evil.example", value="x" * 20, actor=None)
    other.ciphertext = make().ciphertext
    with pytest.raises(SecretUnreadable):
        open_secret(other, "https://evil.example")


def test_replaced_it_is_another_secret_in_the_same_row() -> None:
    secret = make()
    replace_secret(
        secret=secret, origin="https://b.example", value="new-key-0123456789", actor=None
    )
    assert open_secret(Secret.objects.get(), "https://b.example") == "new-key-0123456789"
    assert Secret.objects.get().last_four == "6789"


def test_only_the_last_four_are_shown_and_of_a_short_one_none() -> None:
    assert make().last_four == "WXYZ"
    assert make("short", "two").last_four == ""


def test_deleting_leaves_only_the_trail() -> None:
    delete_secret(secret=make(), actor=None)
    assert not Secret.objects.exists()
    assert [event.action for event in AuditEvent.objects.order_by("pk")] == [
        "create_secret",
        "delete_secret",
    ]


@pytest.mark.parametrize("value", ["", "  ", "two words", "line\nend", "clé", "x" * 1_001, "a\0b"])
def test_what_is_no_key_is_refused(value: str) -> None:
    with pytest.raises(PrefloopError) as refused:
        make(value)
    assert refused.value.fields == {"field": "key"}
    assert value.strip() == "" or value not in refused.value.message


def test_the_secret_is_nowhere_in_clear(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = make()
    replace_secret(secret=secret, origin=ORIGIN, value=CANARY, actor=None)
    secret.refresh_from_db()
    open_secret(secret, ORIGIN)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT row_to_json(s)::text, encode(ciphertext, 'escape') FROM core_secret s"
        )
        stored = str(cursor.fetchall())
        cursor.execute("SELECT row_to_json(a)::text FROM core_auditevent a")
        trail = str(cursor.fetchall())
    files = "".join(path.read_text() for path in folder.iterdir())
    # The log of queries shows parameters: what is inserted there is encrypted already.
    seen = [stored, trail, files, caplog.text, repr(secret), str(secret), repr(vars(secret))]
    assert not [text for text in seen if CANARY in text or CANARY[8:24] in text]


def test_the_key_file_is_its_owners_alone(folder: Path) -> None:
    make()
    path = folder / secret_keys.FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [name.name for name in folder.iterdir()] == [secret_keys.FILE_NAME]


def test_a_key_file_that_others_can_read_is_refused(folder: Path) -> None:
    secret = make()
    (folder / secret_keys.FILE_NAME).chmod(0o644)
    with pytest.raises(ImproperlyConfigured, match="chmod 600"):
        open_secret(secret, ORIGIN)


def test_a_rotation_keeps_all_readable_and_drops_the_old_key(folder: Path) -> None:
    secrets = [make(f"key-number-{number:04d}", f"n{number}") for number in range(5)]
    before = secret_keys.key_ids()
    call_command("rotate_secrets")
    after = secret_keys.key_ids()
    assert len(after) == 1
    assert not set(after) & set(before)
    for number, secret in enumerate(secrets):
        secret.refresh_from_db()
        assert open_secret(secret, ORIGIN) == f"key-number-{number:04d}"
    assert stat.S_IMODE((folder / secret_keys.FILE_NAME).stat().st_mode) == 0o600


def test_keys_of_the_environment_win_and_the_first_encrypts(settings: Any) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.SECRET_ENCRYPTION_KEYS = [old]
    secret = make()
    settings.SECRET_ENCRYPTION_KEYS = [new, old]
    assert open_secret(secret, ORIGIN) == CANARY
    assert rotate_secrets() == 1
    assert rotate_secrets() == 0
    settings.SECRET_ENCRYPTION_KEYS = [new]
    secret.refresh_from_db()
    assert open_secret(secret, ORIGIN) == CANARY
    with pytest.raises(CommandError, match="PREFLOOP_SECRET_KEYS"):
        call_command("rotate_secrets")


def test_a_lost_key_is_named(settings: Any) -> None:
    old = Fernet.generate_key().decode()
    settings.SECRET_ENCRYPTION_KEYS = [old]
    secret = make()
    settings.SECRET_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(SecretUnreadable, match=secret_keys.key_id(old)):
        open_secret(secret, ORIGIN)
    with pytest.raises(CommandError, match="Enter it again"):
        call_command("rotate_secrets", "--keep")


def test_a_spoilt_ciphertext_is_told_from_a_lost_key() -> None:
    secret = make()
    secret.ciphertext = bytes(secret.ciphertext)[:-2] + b"xx"
    with pytest.raises(SecretUnreadable, match="changed by hand"):
        open_secret(secret, ORIGIN)


def test_nonsense_for_a_key_says_what_a_key_is(settings: Any) -> None:
    settings.SECRET_ENCRYPTION_KEYS = ["too-short"]
    with pytest.raises(ImproperlyConfigured, match="32 bytes"):
        make()


def test_processes_that_begin_at_once_have_one_key(folder: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: tuple(secret_keys.key_ids()), range(16)))
    assert len(set(found)) == 1
    assert os.listdir(folder) == [secret_keys.FILE_NAME]  # noqa: PTH208
