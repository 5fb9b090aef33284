"""What stands before a job that waits: numbers and kinds of work, never whose."""

from __future__ import annotations

from core.models import Job

WORK = {
    "train": "trains a model",
    "sample_responses": "samples responses",
    "ensure_base_model": "prepares a base model",
}


def ahead_of(job: Job) -> str:
    """“2 jobs are before it; a worker now samples responses”; empty where nothing is known."""
    if job.state != Job.State.QUEUED:
        return ""
    before = Job.objects.due().filter(queue=job.queue, run_after__lt=job.run_after).count()
    running = Job.objects.filter(queue=job.queue, state=Job.State.RUNNING)
    kinds = running.order_by("kind").values_list("kind", flat=True)
    work = " and another ".join(WORK.get(kind, "is busy") for kind in kinds)
    if not before and not work:
        return ""
    place = f"{before} job{' is' if before == 1 else 's are'} before it" if before else "it is next"
    return f"{place}; a worker now {work}" if work else place
