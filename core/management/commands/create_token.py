"""manage.py create_token"""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.errors import PrefloopError
from core.models import ApiToken, User
from core.services.api_token import create_api_token

SCOPES = "\n".join(f"  {value:<6} {label}" for value, label in ApiToken.Scope.choices)
EPILOG = f"""\
scopes:
{SCOPES}

The token is the only line on standard output, so a script can keep it:

  TOKEN=$(python manage.py create_token rosa --name notebook --scopes read write)
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/api/projects

What the token may do is bounded by what the person may do. Revoke it on the account page or by
POST /api/tokens/<id>/revoke.
"""


class Command(BaseCommand):
    help = (
        "Makes an API token for a person and prints it. It is shown only now: the database keeps "
        "a digest of it."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        kwargs |= {"epilog": EPILOG, "formatter_class": argparse.RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("username", help="whose token it is")
        parser.add_argument("--name", default="command line", help="what will use it (%(default)s)")
        parser.add_argument(
            "--scopes",
            nargs="+",
            choices=ApiToken.Scope.values,
            default=[ApiToken.Scope.READ.value],
            help="what it may do (read)",
        )
        parser.add_argument(
            "--days", type=int, default=90, help="until it ends; 0: never (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username__iexact=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(f"Nobody active here is called {options['username']}.")
        if not 0 <= options["days"] <= 3650:
            raise CommandError("--days is between 0 (never ends) and 3650.")
        try:
            row, token = create_api_token(
                user=user,
                name=options["name"][:100],
                scopes=options["scopes"],
                days=options["days"] or None,
            )
        except PrefloopError as error:
            raise CommandError(error.message) from error
        ends = f"ends on {row.expires_at:%d %B %Y}" if row.expires_at else "never ends"
        self.stderr.write(f"{user}’s token “{row.name}” may {', '.join(row.scopes)} and {ends}.")
        self.stdout.write(token)
