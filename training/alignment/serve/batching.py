"""One thread that runs the engine for all connections, so that what arrives together is batched."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from training.alignment.generation import Answer, Engine, Request
from training.alignment.serve.errors import ApiError, unavailable

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """The requests of one call and what has come of them."""

    requests: Sequence[Request]
    answers: list[dict[int, Answer]] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    error: ApiError | None = None

    def result(self) -> list[list[Answer]]:
        """Each request's answers in order; raises the error that ended the job."""
        if self.error is not None:
            raise self.error
        return [[found[number] for number in sorted(found)] for found in self.answers]


class Batcher:
    """Takes jobs from any thread. At most `waiting` jobs are in hand; more are refused."""

    def __init__(self, load: Callable[[], Engine], *, waiting: int) -> None:
        self._load = load
        self._engine = load()
        self._waiting = waiting
        self._jobs: dict[Request, tuple[Job, int]] = {}
        self._inbox: deque[Job] = deque()
        self._cancelled: list[Job] = []
        self._reload: Job | None = None
        self._closing = False
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def load_figures(self) -> dict[str, int]:
        """How many samples' requests are in hand, and how many jobs wait to be taken up."""
        return {"running": len(self._jobs), "waiting": len(self._inbox)}

    @property
    def is_alive(self) -> bool:
        """Whether the engine's thread runs; once it has ended, nothing is answered any more."""
        return not self._stopped

    def submit(self, requests: Sequence[Request]) -> Job:
        """Queue a job; raises ApiError when the server is full, about to end, or broken."""
        job = Job(requests, [{} for _ in requests])
        with self._changed:
            self._check_open()
            if len(self._inbox) + len(self._jobs) >= self._waiting:
                raise ApiError(
                    "The server is busy; try again later.",
                    status=429,
                    kind="rate_limit_error",
                    code="rate_limit_exceeded",
                )
            self._inbox.append(job)
            self._changed.notify_all()
        return job

    def cancel(self, job: Job) -> None:
        """Nobody waits for this job any more."""
        with self._changed:
            self._cancelled.append(job)
            self._changed.notify_all()

    def reload(self) -> Job:
        """Load the weights anew once what runs is done; what comes meanwhile waits for them."""
        with self._changed:
            self._check_open()
            self._reload = self._reload or Job([])
            self._changed.notify_all()
            return self._reload

    def close(self, grace: float) -> None:
        """Take no more jobs, finish those in hand for up to `grace` seconds, drop the rest."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(self._is_idle, grace)
            self._finish_all(unavailable("The server is shutting down."))

    def _check_open(self) -> None:
        if self._stopped:
            raise unavailable("The engine has stopped; start the server again.")
        if self._closing:
            raise unavailable("The server is shutting down.")

    def _is_idle(self) -> bool:
        return not (self._jobs or self._inbox or self._reload)

    def _run(self) -> None:
        try:
            while True:
                self._turn()
        finally:
            with self._changed:
                self._stopped = True
                self._finish_all(unavailable("The engine has stopped; start the server again."))
                self._jobs.clear()
                self._reload = None

    def _turn(self) -> None:
        """Wait for work and do one step of it."""
        with self._changed:
            self._changed.wait_for(self._has_work)
        try:
            with self._changed:
                self._take_up()
                reload = self._reload if not self._jobs else None
            if reload is not None:
                self._replace(reload)
            else:
                self._step()
        # The boundary of the thread: one call's trouble must not end the server.
        except Exception:
            logger.exception("The engine failed; all calls in hand are answered with an error.")
            self._fail_all()

    def _has_work(self) -> bool:
        return bool(self._inbox or self._jobs or self._cancelled or self._reload)

    def _take_up(self) -> None:
        cancelled, self._cancelled = self._cancelled, []
        for job in cancelled:
            if job in self._inbox:
                self._inbox.remove(job)
            for request in job.requests:
                if self._jobs.pop(request, None) is not None:
                    self._engine.cancel(request)
        while self._inbox and self._reload is None:
            job = self._inbox.popleft()
            for index, request in enumerate(job.requests):
                self._jobs[request] = (job, index)
                self._engine.submit(request)

    def _step(self) -> None:
        for request, number, answer in self._engine.step():
            job, index = self._jobs[request]
            job.answers[index][number] = answer
            if len(job.answers[index]) == len(request.seeds):
                with self._changed:
                    del self._jobs[request]
                    if all(
                        len(found) == len(asked.seeds)
                        for found, asked in zip(job.answers, job.requests, strict=True)
                    ):
                        self._finish(job)

    def _replace(self, reload: Job) -> None:
        try:
            self._engine = self._load()
            error = None
        # A folder may be broken in any way, and the old weights still answer.
        except Exception as problem:
            logger.exception("The weights cannot be loaded anew.")
            error = ApiError(
                f"The weights cannot be loaded, so the old ones stay: {problem}",
                status=500,
                kind="server_error",
                code="reload_failed",
            )
        with self._changed:
            self._reload = None
            self._finish(reload, error)

    def _fail_all(self) -> None:
        error = ApiError(
            "The engine failed.", status=500, kind="server_error", code="engine_failed"
        )
        with self._changed:
            jobs = [job for job, _ in self._jobs.values()]
            self._jobs.clear()
            for job in jobs:
                self._finish(job, error)
        # After an error that stays, as CUDA's do, the engine may fail at this too: nobody waits.
        self._engine.clear()

    def _finish_all(self, error: ApiError) -> None:
        """Whatever is in hand ends with this error."""
        left = [*(job for job, _ in self._jobs.values()), *self._inbox]
        if self._reload is not None:
            left.append(self._reload)
        for job in left:
            self._finish(job, error)
        self._inbox.clear()

    def _finish(self, job: Job, error: ApiError | None = None) -> None:
        job.error = error
        job.done.set()
        self._changed.notify_all()
