"""manage.py agreement"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from annotation.management.lookup import find_project
from core.progress_bar import ProgressBar
from feedback.models import AgreementReport
from feedback.progress import OnTerminal
from feedback.services.measure_agreement import measure_agreement
from feedback.verdicts import figure_rows, judge_verdict, people_verdict


class Command(BaseCommand):
    help = (
        "Measure how well people agree, and judges with people, for each kind and criterion of a "
        "project: percent with and without ties, Krippendorff's alpha and more, each with a 95 % "
        "interval from a bootstrap of whole prompts. The figures are kept and shown on the "
        "project's agreement page."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="number or name of the project")
        parser.add_argument("--json", action="store_true", help="print all figures as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        project = find_project(options["project"])
        with ProgressBar("Measuring") as bar:
            reports = measure_agreement(project=project, context=OnTerminal(bar))
        if options["json"]:
            self.stdout.write(json.dumps([_plain(report) for report in reports], indent=2))
        elif reports:
            self._tell(reports)
        else:
            self.stdout.write("Nothing has been judged in this project yet.")

    def _tell(self, reports: Sequence[AgreementReport]) -> None:
        for report in reports:
            figures = report.figures
            self.stdout.write(f"\n{report.criterion} ({report.kind}, {report.judgments} answers)")
            for sentence in [people_verdict(figures), *map(judge_verdict, figures["judges"])]:
                self.stdout.write(f"  {sentence}")
            rows = list(figure_rows(figures))
            width = max(len(row.between) for row in rows)
            for row in rows:
                told = row.interval or row.reason
                self.stdout.write(
                    f"  {row.between:<{width}}  {row.name:<41} {row.value:>7}  {told}"
                )


def _plain(report: AgreementReport) -> dict[str, Any]:
    return {"kind": report.kind, "criterion": report.criterion, "figures": report.figures}
