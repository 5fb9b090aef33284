"""`python -m bench.load.judge_worker`: sweeps, and runs judges' jobs, as a worker does."""

from __future__ import annotations

import threading
import time

import django


def main() -> None:
    django.setup()
    import annotation.tasks  # noqa: F401 - registers the kind of job, and its sweeps
    from core import jobs
    from core.models import Job

    threading.Thread(target=jobs.sweep_forever, args=[threading.Event()], daemon=True).start()
    while True:
        for number in Job.objects.due().filter(kind="judge").values_list("pk", flat=True):
            jobs.run(number)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
