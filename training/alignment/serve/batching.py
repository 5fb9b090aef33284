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
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def load_figures(self) -> dict[str, int]:
        """How many samples' requests are in hand, and how many jobs wait to be taken up."""
        return {"running": len(self._jobs), "waiting": len(self._inbox)}

    def submit(self, requests: Sequence[Request]) -> Job:
        """Queue a job; raises ApiError when the server is full or about to end."""
        job = Job(requests, [{} for _ in requests])
        with self._changed:
            if self._closing:
                raise unavailable("The server is shutting down.")
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
            if self._closing:
                raise unavailable("The server is shutting down.")
            self._reload = self._reload or Job([])
            self._changed.notify_all()
            return self._reload

    def close(self, grace: float) -> None:
        """Take no more jobs, finish those in hand for up to `grace` seconds, drop the rest."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(self._is_idle, grace)
            left = {id(job): job for job, _ in self._jobs.values()}.values()
            for job in [*left, *self._inbox]:
                self._finish(job, unavailable("The server is shutting down."))
            self._inbox.clear()

    def _is_idle(self) -> bool:
        return not (self._jobs or self._inbox or self._reload)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
                self._take_up()
                reload = self._reload if not self._jobs else None
            try:
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
        for job in self._cancelled:
            for request in job.requests:
                if self._jobs.pop(request, None) is not None:
                    self._engine.cancel(request)
            if job in self._inbox:
                self._inbox.remove(job)
        self._cancelled.clear()
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
            for request, (job, _) in list(self._jobs.items()):
                self._engine.cancel(request)
                self._finish(job, error)
            self._jobs.clear()

    def _finish(self, job: Job, error: ApiError | None = None) -> None:
        job.error = error
        job.done.set()
        self._changed.notify_all()
