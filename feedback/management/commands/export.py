"""manage.py export"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.lookup import find_project, find_user
from annotation.models import Project
from core.errors import PrefloopError
from core.progress_bar import ProgressBar
from feedback.models import Export, Snapshot
from feedback.progress import OnTerminal
from feedback.services.export import build_export, create_export, path_of

EPILOG = """\
shapes
  pairs                 prompt, chosen, rejected as plain texts
  pairs_conversational  the same as lists of messages
  binary                prompt, completion, label; from thumbs, and from pairs when asked
  lists                 prompt, completions, ranks
  demonstrations        prompt, completion: what labelers wrote in place of a response
  records               the snapshot's own records
  judgments             every judgment of the project as it was given, by pseudonym

examples
  manage.py export 1 --shape pairs --format parquet --side train --output train.parquet
  manage.py export PandaLM --shape judgments"""


class Command(BaseCommand):
    help = "Write a snapshot's data, or a project's raw judgments, as JSONL or Parquet."

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            *args, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="number or name of the project")
        parser.add_argument(
            "--shape",
            required=True,
            choices=Export.Shape.values,
            help="what a row is: a pair, a labelled response, a ranked list, a demonstration, …",
        )
        parser.add_argument(
            "--format", default="jsonl", choices=Export.Format.values, help="default: jsonl"
        )
        parser.add_argument("--snapshot", type=int, help="its version (default: the newest)")
        parser.add_argument(
            "--side",
            default="both",
            choices=["train", "held_out", "both"],
            help="side of the prompts' split (default: both)",
        )
        parser.add_argument("--criterion", default="", help="one only (default: all)")
        parser.add_argument("--ties", action="store_true", help="ties as pairs of probability 0.5")
        parser.add_argument(
            "--binary-from-pairs", action="store_true", help="labels from pairs as well"
        )
        parser.add_argument(
            "--rewrites", action="store_true", help="pairs of what labelers wrote instead as well"
        )
        parser.add_argument("--output", type=Path, help="copy the file here")
        parser.add_argument("--as", dest="username", help="who does it, for the audit trail")

    def handle(self, *args: Any, **options: Any) -> None:
        names = ("side", "criterion", "ties", "binary_from_pairs", "rewrites")
        project = find_project(options["project"])
        is_raw = options["shape"] == Export.Shape.JUDGMENTS
        try:
            export = create_export(
                project=project,
                snapshot=None if is_raw else _snapshot(project, options["snapshot"]),
                shape=options["shape"],
                format=options["format"],
                options={name: options[name] for name in names},
                created_by=find_user(options["username"]),
            )
            with ProgressBar("Exporting") as bar:
                export = build_export(export=export, context=OnTerminal(bar))
        except PrefloopError as error:
            raise CommandError(error.message) from error
        self._tell(export, options["output"])

    def _tell(self, export: Export, output: Path | None) -> None:
        path = path_of(export)
        if path is None:
            raise CommandError("The file is gone already: something else cleans the folder.")
        if output is not None:
            path = Path(shutil.copyfile(path, output))
        self.stdout.write(f"{export.rows:,} rows in {path}")


def _snapshot(project: Project, version: int | None) -> Snapshot:
    found = project.snapshots.filter(replaced_by=None)
    if version is not None:
        found = found.filter(version=version)
    snapshot = found.first()
    if snapshot is None:
        what = "no snapshot yet; freeze one" if version is None else f"no snapshot {version}"
        raise CommandError(f"“{project}” has {what}.")
    return snapshot
