"""The one Celery task: an id in, one call. What it runs is the job row's kind."""

from celery import shared_task

from core import jobs


@shared_task(name="core.run_job", ignore_result=True)  # type: ignore[untyped-decorator]
def run_job(job_id: int) -> None:
    jobs.run(job_id)
