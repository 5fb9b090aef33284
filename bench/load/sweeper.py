"""`python -m bench.load.sweeper`: takes abandoned items back, as a thread of each worker does."""

from __future__ import annotations

import threading

import django


def main() -> None:
    django.setup()
    import annotation.tasks  # noqa: F401 - registers its sweeps
    from core.jobs import sweep_forever

    sweep_forever(threading.Event())


if __name__ == "__main__":
    main()
