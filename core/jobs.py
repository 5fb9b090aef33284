"""Jobs: claimed by compare-and-set, fenced, leased, swept. Messages are only hints.

An app fills the registry in its `tasks` module:

    @job_kind("freeze_snapshot", queue=Queue.DEFAULT)
    def freeze(context: JobContext) -> dict[str, Any]:
        context.progress(done=3, total=10, message="Writing records")
        return {"snapshot": 7}
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import F
from django.utils import timezone

from core import health
from core.errors import Conflict, PrefloopError
from core.models import Job, User

logger = logging.getLogger(__name__)

SWEEP_LOCK = 7_214_001


class Queue:
    DEFAULT = "default"
    JUDGE = "judge"
    GPU = "gpu"


class LeaseLost(Exception):
    """Another worker holds the job now: stop, and write nothing more."""


class Cancelled(Exception):
    """Somebody asked the job to stop."""


class EndedEarly(PrefloopError):
    """The job fails before its work is done; what it names is kept in its result, for programs."""


@dataclass(frozen=True)
class Kind:
    name: str
    queue: str
    handler: Callable[[JobContext], dict[str, Any] | None]
    max_attempts: int


REGISTRY: dict[str, Kind] = {}


def job_kind(
    name: str, *, queue: str = Queue.DEFAULT, max_attempts: int = 3
) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        REGISTRY[name] = Kind(name, queue, handler, max_attempts)
        return handler

    return register


@transaction.atomic
def enqueue(
    kind: str,
    *,
    args: dict[str, Any] | None = None,
    created_by: User | None = None,
    project_id: int | None = None,
    idempotency_key: str | None = None,
) -> Job:
    """The row is written in the caller's transaction; the hint goes out after its commit.

    With an idempotency key, a second call returns the first call's job.
    """
    registered = REGISTRY[kind]
    fields = {
        "kind": kind,
        "queue": registered.queue,
        "args": args or {},
        "max_attempts": registered.max_attempts,
        "created_by": created_by,
        "project_id": project_id,
    }
    if idempotency_key is None:
        job = Job.objects.create(**fields)
    else:
        job, _ = Job.objects.get_or_create(idempotency_key=idempotency_key, defaults=fields)
    transaction.on_commit(lambda: send_hint(job))
    return job


def send_hint(job: Job) -> None:
    """May fail without harm: the sweep sends it again."""
    from core.tasks import run_job

    try:
        run_job.apply_async((job.pk,), queue=job.queue, retry=False)
    except (OSError, run_job.OperationalError) as error:
        logger.warning("No hint sent for job %s (%s); the sweep will.", job.pk, error)
    else:
        Job.objects.filter(pk=job.pk).update(hinted_at=timezone.now())


def request_cancel(*, job: Job) -> Job:
    """A queued job ends at once; a running one is asked and stops by itself."""
    now = timezone.now()
    ended = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED).update(
        state=Job.State.CANCELLED, cancel_requested_at=now, finished_at=now
    )
    if not ended:
        Job.objects.filter(pk=job.pk, state=Job.State.RUNNING, cancel_requested_at=None).update(
            cancel_requested_at=now
        )
    job.refresh_from_db()
    return job


def resume(*, job: Job) -> Job:
    """Queues a failed or cancelled job again; its handler goes on from what it finds."""
    stopped = [Job.State.FAILED, Job.State.CANCELLED]
    moved = Job.objects.filter(pk=job.pk, state__in=stopped).update(
        state=Job.State.QUEUED,
        attempts=0,
        run_after=timezone.now(),
        cancel_requested_at=None,
        finished_at=None,
        error="",
        result={},
    )
    if not moved:
        raise Conflict(f"Only a failed or cancelled job can be resumed; this one is {job.state}.")
    job.refresh_from_db()
    transaction.on_commit(lambda: send_hint(job))
    return job


class JobContext:
    """What a handler sees of its job. Every write carries the fence."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.args: dict[str, Any] = job.args
        self._last_progress = 0.0
        self._begun: tuple[float, float] | None = None

    def owned(self) -> Any:
        return Job.objects.filter(pk=self.job.pk, fence=self.job.fence, state=Job.State.RUNNING)

    def progress(
        self,
        *,
        done: float,
        total: float,
        message: str = "",
        seconds_left: float | None = None,
        **figures: Any,
    ) -> None:
        """Shown to people; written at most twice a second, and checks for cancellation. The time
        left is made from the share that is done where the caller does not know better."""
        share = done / total if total else 0.0
        if self._begun is None and total:
            self._begun = (timezone.now().timestamp(), share)
        now = time.monotonic()
        if now - self._last_progress < 0.5 and done < total:
            return
        self._last_progress = now
        begun_at, begun_share = self._begun or (None, 0.0)
        self._write(
            progress={
                "done": done,
                "total": total,
                "message": message,
                "begun_at": begun_at,
                "begun_share": begun_share,
                "seconds_left": seconds_left,
                **figures,
            }
        )
        self.check_cancelled()

    def heartbeat(self) -> None:
        self._write(lease_until=lease_end())

    def check_cancelled(self) -> None:
        if self.is_cancelled():
            raise Cancelled

    def is_cancelled(self) -> bool:
        return bool(self.owned().filter(cancel_requested_at__isnull=False).exists())

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """A transaction that holds the job's row, so that no other worker can take it meanwhile."""
        with transaction.atomic():
            if not self.owned().select_for_update().exists():
                raise LeaseLost
            yield

    def _write(self, **fields: Any) -> None:
        if not self.owned().update(**fields):
            raise LeaseLost


Handler = Callable[[JobContext], dict[str, Any] | None]


def lease_end() -> Any:
    return timezone.now() + timedelta(seconds=settings.JOB_LEASE_SECONDS)


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"


def claim(job_id: int) -> Job | None:
    """The job, if this call won it; None when it is not due, over, or another's."""
    with transaction.atomic():
        taken = (
            Job.objects.due()
            .filter(pk=job_id)
            .update(
                state=Job.State.RUNNING,
                attempts=F("attempts") + 1,
                fence=F("fence") + 1,
                lease_owner=worker_name(),
                lease_until=lease_end(),
                started_at=timezone.now(),
                error="",
            )
        )
        return Job.objects.get(pk=job_id) if taken else None


def run(job_id: int) -> None:
    """Claims and runs a job to its end; a duplicate or late hint finds nothing to do."""
    job = claim(job_id)
    if job is None:
        return
    context = JobContext(job)
    try:
        with beating(context):
            result = REGISTRY[job.kind].handler(context) or {}
        finish(context, Job.State.SUCCEEDED, result=result)
    except LeaseLost:
        logger.warning("Job %s was taken over by another worker.", job.pk)
    except Cancelled:
        finish(context, Job.State.CANCELLED)
    except EndedEarly as error:
        finish(context, Job.State.FAILED, error=error.message, result=error.fields)
    except PrefloopError as error:
        finish(context, Job.State.FAILED, error=error.message)
    except DatabaseError:
        # The lease runs out and the sweep queues the job again.
        logger.exception("Job %s stopped: the database failed.", job.pk)
    except Exception:  # the process boundary of jobs
        logger.exception("Job %s failed.", job.pk)
        fail_or_retry(context)


def finish(context: JobContext, state: str, *, error: str = "", result: Any = None) -> bool:
    return bool(
        context.owned().update(
            state=state,
            error=error,
            result=result or {},
            finished_at=timezone.now(),
            lease_until=None,
            lease_owner="",
        )
    )


def fail_or_retry(context: JobContext) -> None:
    job = context.job
    if job.attempts >= job.max_attempts:
        finish(
            context,
            Job.State.FAILED,
            error="Something unexpected went wrong; the log says what. Resume to try again.",
        )
        return
    context.owned().update(
        state=Job.State.QUEUED,
        lease_until=None,
        lease_owner="",
        run_after=timezone.now() + timedelta(seconds=5 * 2 ** min(job.attempts, 7)),
    )


@contextmanager
def beating(context: JobContext) -> Iterator[None]:
    """Extends the lease from a thread of its own while the handler works."""
    stop = threading.Event()

    def beat() -> None:
        try:
            while not stop.wait(settings.JOB_LEASE_SECONDS / 4):
                try:
                    context.heartbeat()
                except LeaseLost:
                    return
                except DatabaseError:
                    logger.warning("Job %s: a heartbeat failed; trying again.", context.job.pk)
        finally:
            connection.close()

    thread = threading.Thread(target=beat, name=f"heartbeat-{context.job.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# Apps add who else may see and cancel a job, for instance those who may research in its project.
VISIBILITY: list[Callable[[User, Job], bool]] = []


def may_see(user: User, job: Job) -> bool:
    """Its creator, an admin, and whom an app lets."""
    if user.is_admin or (job.created_by_id is not None and job.created_by_id == user.pk):
        return True
    return any(lets(user, job) for lets in VISIBILITY)


def may_stop(user: User, job: Job) -> bool:
    """Whoever sees a job may stop it, but training is the admins' matter."""
    return job.queue != Queue.GPU or user.is_admin


SWEEPERS: list[Callable[[], object]] = []


def sweeper(function: Callable[[], object]) -> Callable[[], object]:
    """Registers an app's own periodic work; it runs in each sweep, under the sweep's lock."""
    SWEEPERS.append(function)
    return function


def sweep() -> bool:
    """Re-queues abandoned jobs, fails worn-out ones, re-sends hints. False: another is at it."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SWEEP_LOCK])
            if not cursor.fetchone()[0]:
                return False
        _requeue_abandoned()
        unhinted = list(Job.objects.unhinted().order_by("run_after")[:100])
    for job in unhinted:
        send_hint(job)
    swept = [_swept(function) for function in SWEEPERS]
    if all(swept):
        _note_sweep()
    return True


def _swept(function: Callable[[], object]) -> bool:
    try:
        function()
    except Exception:  # one app's sweep must not stop the others'
        logger.exception("The sweep %s failed.", function.__qualname__)
        return False
    return True


def _note_sweep() -> None:
    """Web processes tell by the file's age that the sweeps have ended, or fail each time."""
    with suppress(OSError):  # a disk that takes nothing must not end the sweeps
        health.LAST_SWEEP.touch()


def _requeue_abandoned() -> None:
    worn_out = Job.objects.abandoned().filter(attempts__gte=F("max_attempts"))
    worn_out.update(
        state=Job.State.FAILED,
        finished_at=timezone.now(),
        lease_until=None,
        lease_owner="",
        error="The worker died each time it tried. Look at its log, then resume.",
    )
    Job.objects.abandoned().filter(cancel_requested_at__isnull=False).update(
        state=Job.State.CANCELLED, finished_at=timezone.now(), lease_until=None, lease_owner=""
    )
    Job.objects.abandoned().update(
        state=Job.State.QUEUED, run_after=timezone.now(), lease_until=None, lease_owner=""
    )


def sweep_forever(stop: threading.Event) -> None:
    """The thread that each worker runs beside its tasks; it sweeps first when it starts."""
    pause = 0.0
    while not stop.wait(pause):
        pause = settings.SWEEP_SECONDS
        try:
            close_old_connections()
            sweep()
        except DatabaseError as error:
            logger.warning("The sweep found no database (%s); trying again.", error)
        finally:
            connection.close()
