"""manage.py resume"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.lookup import find_user
from core.errors import PrefloopError
from core.models import User
from training.management.waiting import finish, finish_all
from training.models import Sweep, TrainingRun
from training.services import resume_run, resume_sweep


class Command(BaseCommand):
    help = (
        "Resume a training run that failed or was stopped, or all stopped runs of a sweep, from "
        "the last checkpoint."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("run", type=int, nargs="?", help="its number")
        which.add_argument("--sweep", type=int, help="number of a sweep, instead of one run")
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
        actor = find_user(options["username"])
        if options["sweep"] is None:
            self._resume_run(actor, options)
        else:
            self._resume_sweep(actor, options)

    def _resume_run(self, actor: User | None, options: dict[str, Any]) -> None:
        run = TrainingRun.objects.select_related("job").filter(pk=options["run"]).first()
        if run is None:
            raise CommandError(f"There is no run {options['run']}.")
        try:
            resume_run(run=run, actor=actor, kl_budget=options["kl_budget"])
        except PrefloopError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Run {run.pk} of project {run.project_id} goes on.")
        if options["no_wait"]:
            return
        finish(run.job, "Training", inline=options["inline"])
        self.stdout.write(f"Version {run.job.result['version']} of project {run.project_id}.")

    def _resume_sweep(self, actor: User | None, options: dict[str, Any]) -> None:
        if options["kl_budget"] is not None:
            raise CommandError("--kl-budget is of one run: resume the runs one by one.")
        sweep = Sweep.objects.filter(pk=options["sweep"]).first()
        if sweep is None:
            raise CommandError(f"There is no sweep {options['sweep']}.")
        runs = resume_sweep(sweep=sweep, actor=actor)
        if not runs:
            raise CommandError(f"No run of sweep {sweep.pk} is stopped, so none was resumed.")
        self.stdout.write(f"Stopped runs of sweep {sweep.pk} that go on: {len(runs)}.")
        if options["no_wait"]:
            return
        failed = finish_all(runs, inline=options["inline"], complain=self.stderr.write)
        if failed:
            raise CommandError(f"{failed} of {len(runs)} runs have not succeeded.")
