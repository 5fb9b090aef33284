"""Runs a judge over a project's items, with its progress on the terminal."""

from __future__ import annotations

import argparse
import threading
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from annotation.judging.content import LONGEST_LIST
from annotation.management.lookup import find_project, find_user
from annotation.models import JudgeRun, ProjectJudge
from annotation.selectors.judge import find_judge
from annotation.services.judge_run import estimate_run, queue_run, raise_cap, resume_run
from core import jobs
from core.errors import PrefloopError
from core.models import Job
from core.progress_bar import ProgressBar, clock

EPILOG = """\
examples
  manage.py judge --project 3 --judge "GPT, both orders" --estimate
  manage.py judge --project 3 --judge "GPT, both orders v2" --cap 5 --takes unlabeled --limit 500
  manage.py judge --resume 12 --cap 8

Ctrl-C pauses: calls that are out come back first, and nothing is asked twice when it is resumed."""


class Command(BaseCommand):
    help = "Run a judge over items of a project."

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            *args, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", help="number or name of the project")
        parser.add_argument("--judge", help="its name, or its name with a version: “name v2”")
        parser.add_argument("--cap", help="the most that may be spent and reserved, in dollars")
        parser.add_argument("--as", dest="username", help="who does it")
        parser.add_argument(
            "--takes",
            choices=ProjectJudge.Takes.values,
            help="left out: what the project has chosen for the judge",
        )
        parser.add_argument("--items", type=int, nargs="+", help="numbers of items, instead")
        parser.add_argument("--limit", type=int, help="how many items at most")
        parser.add_argument(
            "--again", action="store_true", help="those that failed or could not be read"
        )
        parser.add_argument(
            "--unpriced",
            action="store_true",
            help="run a model without a known price, where no cap holds: give --limit or --items",
        )
        parser.add_argument(
            "--purpose", choices=["judge", "trial", "repeat", "canary"], default="judge"
        )
        parser.add_argument(
            "--estimate", action="store_true", help="say what it costs, ask nothing"
        )
        parser.add_argument("--resume", type=int, metavar="RUN", help="go on with a run")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = self._resumed(options) if options["resume"] else self._made(options)
        except PrefloopError as error:
            raise CommandError(error.message) from error
        if run is not None and run.job is not None:
            self.stdout.write(f"Run {run.pk}, job {run.job.pk}")
            self._watch(run, run.job)

    def _resumed(self, options: dict[str, Any]) -> JudgeRun:
        run = JudgeRun.objects.filter(pk=options["resume"]).select_related("job", "judge").first()
        if run is None or (run.job is None and options["cap"] is None):
            raise CommandError(f"There is no run {options['resume']} that could be resumed.")
        actor = find_user(options["username"])
        if options["cap"] is not None:
            run = raise_cap(run=run, cap=_dollars(options["cap"]), actor=actor)
        if run.job is None:
            self.stdout.write(f"Its cap is ${run.cap:.2f}. Resume the training run that asks it.")
        return resume_run(run=run, actor=actor) if run.job and run.job.is_over else run

    def _made(self, options: dict[str, Any]) -> JudgeRun | None:
        if options["project"] is None or options["judge"] is None:
            raise CommandError("--project and --judge name what is run; or --resume RUN.")
        project = find_project(options["project"])
        judge = find_judge(project, options["judge"])
        names = ("items" if options["items"] else "takes", "limit", "again", "unpriced")
        selection = {name: options[name] for name in names if options[name]}
        asked: dict[str, Any] = {"selection": selection, "purpose": options["purpose"]}
        if options["estimate"] or options["cap"] is None:
            self._tell(project=project, judge=judge, **asked)
            if not options["estimate"]:
                raise CommandError("Give --cap, the most that it may cost in dollars, to start.")
            return None
        actor = find_user(options["username"])
        cap = _dollars(options["cap"])
        return queue_run(project=project, judge=judge, created_by=actor, cap=cap, **asked)

    def _tell(self, **asked: Any) -> None:
        told = estimate_run(**asked)
        cost = (
            f"about ${told.likely_cost:.4f}, ${told.cost:.4f} at most without retries"
            if told.price_known
            else "no price is known"
        )
        seconds = "time unknown" if told.seconds is None else f"about {clock(told.seconds)}"
        about = "" if told.is_exact else "about "
        self.stdout.write(
            f"{about}{told.items:,} items, {told.calls:,} calls, {told.prompt_tokens:,} tokens in, "
            f"{told.completion_tokens:,} out at most: {cost}, {seconds}"
        )
        if told.too_long:
            self.stdout.write(
                f"{told.too_long:,} lists have more than {LONGEST_LIST} responses, which no judge "
                "is shown: they are left out."
            )

    def _watch(self, run: JudgeRun, job: Job) -> None:
        """Works here, or watches the worker that was faster."""
        thread = threading.Thread(target=_work, args=(job.pk,))
        thread.start()
        with ProgressBar("Judging") as bar:
            try:
                self._show(bar, run, job, thread)
            except KeyboardInterrupt:
                jobs.request_cancel(job=job)
                self.stderr.write("\nPausing: calls that are out come back first.")
                thread.join()
        self._report(run, job)

    def _show(self, bar: ProgressBar, run: JudgeRun, job: Job, thread: threading.Thread) -> None:
        while not job.is_over:
            thread.join(0.5)
            job.refresh_from_db()
            run.refresh_from_db(fields=["settled", "overrun", "reserved"])
            done, total = (float(job.progress.get(name, 0)) for name in ("done", "total"))
            spent = run.settled + run.overrun
            note = f"${spent:.4f} of ${run.cap:.4f}, ${run.reserved:.4f} reserved"
            bar.show(done, total, note)

    def _report(self, run: JudgeRun, job: Job) -> None:
        job.refresh_from_db()
        run.refresh_from_db()
        outcomes = run.verdicts.values_list("outcome", flat=True)
        counts = {name: sum(one == name for one in outcomes) for name in sorted(set(outcomes))}
        words = ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "nothing yet"
        spent = run.settled + run.overrun
        self.stdout.write(f"Run {run.pk} {job.state}: {words}; ${spent:.6f} spent")
        if job.state == Job.State.FAILED:
            raise CommandError(job.error)
        if job.state == Job.State.CANCELLED:
            self.stdout.write(f"manage.py judge --resume {run.pk} goes on.")


def _work(job: int) -> None:
    try:
        jobs.run(job)
    finally:
        connection.close()


def _dollars(words: str) -> Decimal:
    try:
        return Decimal(words)
    except InvalidOperation as error:
        raise CommandError(f"{words!r} is no sum of dollars.") from error
