"""manage.py rotate_secrets"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import secret_keys
from core.errors import PrefloopError
from core.services.secret import rotate_secrets


class Command(BaseCommand):
    help = (
        "Encrypt all provider keys anew with a new key. Where the keys are in "
        "PREFLOOP_SECRET_KEYS, put the new one first there and use --keep."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--keep", action="store_true", help="make no new key, drop no old one")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if not options["keep"]:
                secret_keys.add_key()
            count = rotate_secrets()
        except (ImproperlyConfigured, PrefloopError) as error:
            raise CommandError(str(error)) from error
        dropped = 0 if options["keep"] else secret_keys.drop_old_keys()
        self.stdout.write(f"{count} provider keys encrypted anew; {dropped} old keys dropped.")
