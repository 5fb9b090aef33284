"""Imports prompts, responses, judgments and gold answers from a file or folder."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.importers import FORMATS, get_format
from annotation.importers.rows import Meter, Problem
from annotation.models import Kind, Project
from annotation.services.import_data import BATCH_ROWS, ImportReport, import_data
from annotation.services.project import create_project
from core.errors import PrefloopError
from core.models import User
from core.progress_bar import ProgressBar

OVERALL = {
    "key": "overall",
    "name": "Overall",
    "definition": "Which response is better, all in all?",
}
SHOWN = 50
WORDS = {
    "prompts": "new prompts",
    "responses": "new responses",
    "items": "new items",
    "judgments": "new judgments",
    "gold": "new gold answers",
    "hidden_gold": "items became hidden gold",
    "existing_items": "items were there already",
    "existing_judgments": "judgments were there already",
    "identical_items": "pairs of equal texts, stored as ties",
    "identical_judgments": "judgments on equal texts, not kept",
    "shortened_lists": "lists shortened to their different texts",
    "refused_lists": "lists of equal texts only, no item made",
}
EPILOG = (
    """\
formats
"""
    + "\n".join(f"  {one.name:14} {one.about}" for one in FORMATS.values())
    + """

examples
  manage.py import_data --create-project "PandaLM" --as ada --format pandalm testset-v1.json
  manage.py import_data --project 3 --format pairs --dry-run --errors problems.txt pairs.jsonl

Importing twice adds nothing. Good rows are kept when others are bad; each bad row is reported
with its number. Items that come with judgments are closed, so that labelers are not asked again
(--open leaves them in the queue)."""
)


class Command(BaseCommand):
    help = "Import a file into a project."

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            *args, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--project", help="number or name of the project")
        where.add_argument("--create-project", metavar="NAME", help="make a project for it")
        parser.add_argument(
            "--as", dest="username", help="who does it; becomes manager of a new project"
        )
        parser.add_argument("--format", required=True, choices=list(FORMATS))
        parser.add_argument("path", type=Path, help="file, or folder of files that belong together")
        parser.add_argument(
            "--label", default="", help="name of the source (default: the file's name)"
        )
        parser.add_argument("--dry-run", action="store_true", help="check everything, keep nothing")
        parser.add_argument("--open", action="store_true", help="leave judged items in the queue")
        parser.add_argument(
            "--hide-gold", action="store_true", help="use rows with a known answer as hidden gold"
        )
        parser.add_argument("--batch-size", type=int, default=BATCH_ROWS, help="rows a transaction")
        parser.add_argument("--errors", type=Path, help="write all problems to this file")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["path"]
        if not path.exists():
            raise CommandError(f"{path} does not exist.")
        try:
            actor = self._user(options["username"])
            project = self._project(options, actor)
            report = self._import(project, actor, path, options)
        except PrefloopError as error:
            raise CommandError(error.message) from error
        self._tell(project, report, dry_run=options["dry_run"])

    def _user(self, username: str | None) -> User | None:
        if username is None:
            return None
        user = User.objects.filter(username__iexact=username).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}.")
        return user

    def _project(self, options: dict[str, Any], actor: User | None) -> Project:
        if options["project"] is not None:
            return self._existing(options["project"])
        if actor is None:
            raise CommandError("--create-project needs --as USERNAME, who becomes its manager.")
        found = Project.objects.filter(name=options["create_project"]).first()
        if found is not None:
            self.stderr.write(f"Project {found.pk} has this name already; importing into it.")
            return found
        chosen = get_format(options["format"])
        return create_project(
            creator=actor,
            name=options["create_project"],
            kinds=chosen.kinds or Kind.values,
            criteria=chosen.criteria or [OVERALL],
            # One judgment an item is all that such a file has; a policy must not wait for more.
            overlap=1 if options["format"] == "pairs" else 3,
        )

    def _existing(self, wanted: str) -> Project:
        found = list(Project.objects.filter(name=wanted)[:2])
        if not found and wanted.isdecimal():
            found = list(Project.objects.filter(pk=int(wanted)))
        if len(found) != 1:
            many = "Several projects have" if found else "No project has"
            raise CommandError(f"{many} the name or number {wanted!r}; give the number.")
        return found[0]

    def _import(
        self, project: Project, actor: User | None, path: Path, options: dict[str, Any]
    ) -> ImportReport:
        with ExitStack() as stack:
            errors: TextIO | None = None
            if options["errors"] is not None:
                errors = stack.enter_context(options["errors"].open("w", encoding="utf-8"))
            bar = stack.enter_context(ProgressBar("Importing"))

            def keep(problem: Problem) -> None:
                if errors is not None:
                    errors.write(f"{problem}\n")

            def show(meter: Meter) -> None:
                bar.show(meter.done, meter.total)

            return import_data(
                project=project,
                format_name=options["format"],
                path=path,
                label=options["label"],
                actor=actor,
                dry_run=options["dry_run"],
                keep_open=options["open"],
                hide_gold=options["hide_gold"],
                batch_rows=options["batch_size"],
                on_progress=show,
                on_problem=keep,
            )

    def _tell(self, project: Project, report: ImportReport, *, dry_run: bool) -> None:
        for problem in report.first_problems[:SHOWN]:
            self.stderr.write(str(problem))
        if report.problems > SHOWN:
            self.stderr.write(f"… and {report.problems - SHOWN:,} more; --errors FILE keeps all.")
        would = "would be imported" if dry_run else "imported"
        self.stdout.write(
            f"{report.imported:,} of {report.rows:,} rows {would} into project {project.pk} "
            f"“{project}”, {report.problems:,} refused."
        )
        for name, words in WORDS.items():
            count = getattr(report.counts, name)
            if count:
                self.stdout.write(f"{count:>12,}  {words}")
