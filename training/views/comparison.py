"""Runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET

from annotation.access import Capability, project_view
from annotation.models import Project
from core.access import SignedInRequest
from core.errors import PrefloopError
from core.plots import Series, line_chart
from training.models import TrainingRun
from training.selectors.comparison import chosen_runs, prompt_rows, result_rows, setting_rows
from training.selectors.plot import plots_of
from training.selectors.run import curves
from training.views.plots import Drawn
from training.views.shared import render_page


@project_view(Capability.RESEARCH)
@require_GET
def compare(request: SignedInRequest, project: Project) -> HttpResponse:
    try:
        runs = chosen_runs(project, request.GET.getlist("run"))
    except PrefloopError as error:
        messages.warning(request, error.message)
        return redirect("training:project-runs", project.pk)
    rows, results = setting_rows(runs), result_rows(runs)
    context = {
        "runs": runs,
        "plots": overlaid(runs),
        "differing": [row for row in rows if row.differs],
        "equal": [row for row in rows if not row.differs],
        "results": results,
        "has_intervals": any(one and one.interval for row in results for one in row.figures),
        "are_over": all(run.job.is_over for run in runs),
        "prompts": prompt_rows(runs),
    }
    return render_page(request, "training/compare.html", project, context)


def overlaid(runs: Sequence[TrainingRun]) -> list[Drawn]:
    """One plot a metric, one line a run; metrics that only one run has are left out."""
    points = [curves(run) for run in runs]
    drawn = []
    for plot in plots_of(runs):
        for name, words in plot.names.items():
            lines = [
                Series(f"{run.pk}", *plot.columns(one, name))
                for run, one in zip(runs, points, strict=True)
                if name in one
            ]
            if len(lines) > 1:
                title = f"{plot.title}: {words}"
                chart = line_chart(
                    lines, title=title, x_label=plot.x_label, y_label=plot.y_label,
                    include=plot.include,
                )  # fmt: skip
                drawn.append(Drawn(title, "Each line is a run, named by its number.", chart))
    return drawn
