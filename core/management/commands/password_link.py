"""manage.py password_link"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.errors import PrefloopError
from core.models import User
from core.services.account import make_password_link


class Command(BaseCommand):
    help = (
        "Print a link by which somebody chooses a new password, once and within two days; the way "
        "back in for an admin who has lost theirs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username__iexact=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user named {options['username']}.")
        try:
            path = make_password_link(user=user, actor=None)
        except PrefloopError as error:
            raise CommandError(error.message) from error
        base = settings.PUBLIC_URL.rstrip("/") or f"http://{settings.HOST}:{settings.PORT}"
        self.stdout.write(base + path)
