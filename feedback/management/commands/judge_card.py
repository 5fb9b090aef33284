"""manage.py judge_card"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.lookup import find_project
from annotation.models import Judge, Project
from core.progress_bar import ProgressBar
from feedback.judge_words import FigureRow, figure_rows, verdict
from feedback.progress import OnTerminal
from feedback.selectors.judge_rows import judges_of
from feedback.selectors.judges import JudgeRow, judge_row
from feedback.services.measure_judges import measure_judges


class Command(BaseCommand):
    help = (
        "Measure the judges of a project against its people: agreement beside people's own on the "
        "same items, position, length and family bias, stability, injected answers, calibration, "
        "replies that cannot be read, price and time. The cards are kept, and say whether each "
        "judge's gate is open."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="number or name of the project")
        parser.add_argument("--judge", help="only judges whose name begins so")
        parser.add_argument("--json", action="store_true", help="print all figures as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        project = find_project(options["project"])
        judges = _chosen(project, options["judge"])
        with ProgressBar("Measuring") as bar:
            measure_judges(project=project, judges=judges, context=OnTerminal(bar))
        rows = [judge_row(project, judge) for judge in judges]
        if options["json"]:
            self.stdout.write(json.dumps([_plain(row) for row in rows], indent=2))
        for row in [] if options["json"] else rows:
            self._tell(row)

    def _tell(self, row: JudgeRow) -> None:
        self.stdout.write(f"\n{row.judge}: {verdict(row)}")
        if row.report is None or row.standing is None:
            return
        for reason in row.standing.reasons:
            self.stdout.write(f"  - {reason}")
        for one in figure_rows(row.report.figures):
            self.stdout.write(f"  {_line(one)}")
        cost = row.report.figures["cost"]
        for key, words in (("price", "Dollars a judgment"), ("seconds", "Seconds a judgment")):
            told = cost[f"{key}_reason"] if cost[key] is None else f"{cost[key]:.6g}"
            self.stdout.write(f"  {'':<24}{words:<52}{told}")


def _chosen(project: Project, name: str | None) -> list[Judge]:
    judges = [one for one in judges_of(project) if str(one).startswith(name or "")]
    if not judges:
        raise CommandError("This project has no such judge. Make one, or import verdicts.")
    return judges


def _line(one: FigureRow) -> str:
    return f"{one.section:<24}{one.name:<52}{one.value:>8}  {one.interval or one.reason}"


def _plain(row: JudgeRow) -> dict[str, Any]:
    return {
        "judge": str(row.judge),
        "verdict": verdict(row),
        "gate": "open" if row.is_open else "closed",
        "reasons": row.standing.reasons if row.standing else [],
        "figures": row.report.figures if row.report else None,
    }
