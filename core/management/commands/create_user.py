"""manage.py create_user"""

from __future__ import annotations

import getpass
import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.errors import PrefloopError
from core.services.user import create_user


class Command(BaseCommand):
    help = (
        "Make a person who can sign in; the first admin of an instance is made this way. Asks for "
        "a password, or with --generate makes one and prints it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="", help="shown to others instead of the user name")
        parser.add_argument("--email", default="")
        parser.add_argument("--admin", action="store_true", help="may do everything")
        parser.add_argument(
            "--projects", action="store_true", help="may create projects, and manages those"
        )
        parser.add_argument("--generate", action="store_true", help="print a generated password")

    def handle(self, *args: Any, **options: Any) -> None:
        password = secrets.token_urlsafe(12) if options["generate"] else ask_password()
        try:
            user = create_user(
                username=options["username"],
                password=password,
                name=options["name"],
                email=options["email"],
                is_admin=options["admin"],
                can_create_projects=options["projects"],
            )
        except PrefloopError as error:
            raise CommandError(error.message) from error
        said = f" with the password {password}" if options["generate"] else ""
        self.stdout.write(f"{user.username} can sign in{said}.")


def ask_password() -> str:
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("Once more: "):
        raise CommandError("The two passwords differ; nothing was made.")
    return password
