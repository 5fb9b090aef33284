"""manage.py freeze_snapshot"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.lookup import find_project, find_user
from core.errors import PrefloopError
from core.progress_bar import ProgressBar
from feedback.progress import OnTerminal
from feedback.selectors.snapshot import LEFT_OUT
from feedback.services.freeze_snapshot import Frozen, freeze
from feedback.snapshot_files import folder_of


class Command(BaseCommand):
    help = (
        "Freeze what is decided in a project into an immutable, hashed dataset version, split by "
        "prompt into a training and a held-out side. Freezing unchanged decisions again gives the "
        "same snapshot. A side without records is refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="number or name of the project")
        parser.add_argument("--note", default="", help="what this version is for")
        parser.add_argument("--as", dest="username", help="who does it, for the audit trail")

    def handle(self, *args: Any, **options: Any) -> None:
        project, user = find_project(options["project"]), find_user(options["username"])
        try:
            with ProgressBar("Freezing") as bar:
                context = OnTerminal(bar)
                frozen = freeze(
                    project=project, created_by=user, note=options["note"], context=context
                )
        except PrefloopError as error:
            raise CommandError(error.message) from error
        self._tell(frozen)

    def _tell(self, frozen: Frozen) -> None:
        snapshot, manifest = frozen.snapshot, frozen.snapshot.manifest
        news = "" if frozen.is_new else " Nothing has changed since it was frozen."
        self.stdout.write(f"Snapshot {snapshot.version} of “{snapshot.project}”.{news}")
        for side, file in manifest["files"].items():
            prompts = manifest["prompts"][side]
            self.stdout.write(f"{file['records']:>9,}  records on {prompts:,} prompts, {side}")
        for reason, count in manifest["left_out"].items():
            self.stdout.write(f"{count:>9,}  left out: {LEFT_OUT[reason]}")
        self.stdout.write(str(folder_of(snapshot)))
