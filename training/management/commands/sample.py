"""manage.py sample"""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.lookup import find_project, find_user
from core.errors import PrefloopError
from training.management.waiting import finish
from training.selectors.promotion import promoted_version
from training.services import request_samples
from training.services.sampling import SIDES

EPILOG = """\
The promoted version answers the project's prompts. Each answer meets that of the version before
(or of the base model, which answers too where it has not) in a new item for the labelers. A
prompt that the version has answered is not asked again, so running this twice adds nothing.

example
  manage.py sample --project 1 --prompts held_out --limit 50"""


class Command(BaseCommand):
    help = "Let the promoted version answer prompts, and make items of the answers."

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            *args, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, help="number or name of the project")
        parser.add_argument("--prompts", choices=list(SIDES), default="all", help="which side")
        parser.add_argument("--limit", type=int, help="at most so many prompts, at random")
        parser.add_argument("--max-new-tokens", type=int, default=256, help="longest answer")
        parser.add_argument("--temperature", type=float, default=0.8)
        parser.add_argument("--as", dest="username", help="who asks for it")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--no-wait", action="store_true", help="queue it and return")
        how.add_argument(
            "--inline", action="store_true", help="do the work in this process, without a worker"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        project = find_project(options["project"])
        version = promoted_version(project)
        if version is None:
            raise CommandError(f"“{project}” has no promoted version; see promote.")
        try:
            job = request_samples(
                version=version,
                created_by=find_user(options["username"]),
                sides=options["prompts"],
                limit=options["limit"],
                max_new_tokens=options["max_new_tokens"],
                temperature=options["temperature"],
            )
        except PrefloopError as error:
            raise CommandError(error.message) from error
        if options["no_wait"]:
            self.stdout.write(f"Job {job.pk} is queued.")
            return
        finish(job, "Sampling", inline=options["inline"])
        self.stdout.write(
            f"{job.result['responses']} answers by version {version.number}, "
            f"{job.result['items']} new items."
        )
