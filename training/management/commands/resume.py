"""manage.py resume"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.lookup import find_user
from core.errors import PrefloopError
from training.management.waiting import finish
from training.models import TrainingRun
from training.services import resume_run


class Command(BaseCommand):
    help = "Resume a training run that failed or was stopped, from its last checkpoint."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", type=int, help="its number")
        parser.add_argument(
            "--kl-budget",
            type=float,
            help="of an online run that its KL budget stopped: a larger one",
        )
        parser.add_argument("--as", dest="username", help="who resumes it")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--no-wait", action="store_true", help="queue it and return")
        how.add_argument(
            "--inline", action="store_true", help="do the work in this process, without a worker"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        run = TrainingRun.objects.select_related("job").filter(pk=options["run"]).first()
        if run is None:
            raise CommandError(f"There is no run {options['run']}.")
        actor = find_user(options["username"])
        try:
            resume_run(run=run, actor=actor, kl_budget=options["kl_budget"])
        except PrefloopError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Run {run.pk} of project {run.project_id} goes on.")
        if options["no_wait"]:
            return
        finish(run.job, "Training", inline=options["inline"])
        self.stdout.write(f"Version {run.job.result['version']} of project {run.project_id}.")
