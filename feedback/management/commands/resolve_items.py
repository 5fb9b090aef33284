"""manage.py resolve_items"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from annotation.management.lookup import find_project
from feedback.services.resolve_items import resolve_items, resolve_stale


class Command(BaseCommand):
    help = (
        "Decide about judged items under the project's policy: accepted, tied, contested, waiting. "
        "Workers do so by themselves; this is for a machine without one, or to decide about "
        "everything anew. Only what changed is written."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="number or name of the project")
        parser.add_argument(
            "--only-new", action="store_true", help="only items judged since the last time"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        project = find_project(options["project"])
        counts = (resolve_stale if options["only_new"] else resolve_items)(project=project)
        for state, count in sorted(counts.states.items()):
            self.stdout.write(f"{count:>9,}  {state}")
        self.stdout.write(f"{counts.changed:>9,}  changed")
