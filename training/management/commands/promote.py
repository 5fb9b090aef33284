"""manage.py promote"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.lookup import find_project, find_user
from core.errors import PrefloopError
from training.management.lookup import find_version
from training.selectors.promotion import promoted_version
from training.services import promote_version, roll_back


class Command(BaseCommand):
    help = (
        "Promote a model version: it is the one in use, and can write answers for the labelers "
        "(see sample). --roll-back goes back to the version that was promoted before."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, help="number or name of the project")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--number", type=int, help="the version to promote")
        what.add_argument("--roll-back", action="store_true", help="undo the last promotion")
        parser.add_argument("--note", default="", help="why; kept with the promotion")
        parser.add_argument("--as", dest="username", help="who decides")

    def handle(self, *args: Any, **options: Any) -> None:
        project = find_project(options["project"])
        by = find_user(options["username"])
        current = promoted_version(project)
        try:
            if options["roll_back"]:
                if current is None:
                    raise CommandError("No version is promoted, so there is nothing to undo.")
                done = roll_back(version=current, by=by, note=options["note"])
            else:
                version = find_version(project, options["number"])
                done = promote_version(
                    version=version, replacing=current, by=by, note=options["note"]
                )
        except PrefloopError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Version {done.version.number} of “{project}” is promoted.")
