"""Work of the background: sweeps and jobs of this app."""

from __future__ import annotations

from typing import Any

from annotation.access import Capability, capabilities
from annotation.models import Project
from annotation.services.call_store import lose_abandoned_calls
from annotation.services.expire_leases import expire_leases
from annotation.services.import_job import KIND, remove_old_uploads, run_import
from annotation.services.judge_run import KIND as JUDGE
from annotation.services.pause_rules import apply_pause_rules
from annotation.services.start_judges import start_due_judges
from core import jobs
from core.models import Job, User


@jobs.sweeper
def return_abandoned_items() -> None:
    expire_leases()


@jobs.sweeper
def keep_pause_rules() -> None:
    ruled = Project.objects.filter(archived_at=None, pause_rules__isnull=False).distinct()
    for project in ruled:
        apply_pause_rules(project=project)


@jobs.sweeper
def clear_uploads() -> None:
    remove_old_uploads()


@jobs.sweeper
def book_lost_calls() -> None:
    lose_abandoned_calls()


@jobs.sweeper
def start_judges() -> None:
    start_due_judges()


@jobs.job_kind(KIND)
def import_data(context: jobs.JobContext) -> dict[str, Any]:
    return run_import(context).as_json()


# A run that is killed goes on where it stood, so it may be killed often.
@jobs.job_kind(JUDGE, queue=jobs.Queue.JUDGE, max_attempts=50)
def judge(context: jobs.JobContext) -> dict[str, Any]:
    # Not before it is needed: the client takes a web process half a second.
    from annotation.services.perform_judge_run import perform_run

    return perform_run(context)


def may_research_there(user: User, job: Job) -> bool:
    """Those who research in a project see its jobs."""
    if job.project_id is None:
        return False
    project = Project.objects.filter(pk=job.project_id).first()
    return project is not None and Capability.RESEARCH in capabilities(user, project)


jobs.VISIBILITY.append(may_research_there)
