"""The Celery application: `celery -A config worker -Q default,judge,gpu`."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_ready, worker_shutting_down
from django.conf import settings

ALIVE_SECONDS = 10
ORDERLY_SECONDS = 12

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# Containers run as root; what a worker unpacks is JSON only.
warnings.filterwarnings("ignore", message="You're running the worker with superuser")

app = Celery("prefloop")
app.config_from_object("config.broker")  # read when first needed, after Django's settings
app.autodiscover_tasks()

_stopping = threading.Event()


@worker_ready.connect
def start_sweeping(**_: Any) -> None:
    """Each worker sweeps; an advisory lock in the database lets one at a time do it."""
    from config.broker import clean_processed
    from core import jobs

    jobs.sweeper(clean_processed)
    _beside_tasks(jobs.sweep_forever)
    if settings.ALIVE_FILE:
        _beside_tasks(_show_life)


def _beside_tasks(work: Callable[[threading.Event], object]) -> None:
    threading.Thread(target=work, args=(_stopping,), name=work.__name__, daemon=True).start()


def _show_life(stopping: threading.Event) -> None:
    while not stopping.wait(ALIVE_SECONDS):
        Path(settings.ALIVE_FILE).touch()


@worker_init.connect
def follow_launcher(**_: Any) -> None:
    """Without the launcher that started it, a worker group ends, whatever state it is in."""
    launcher = os.environ.get("PREFLOOP_LAUNCHER_PID")
    if launcher:
        threading.Thread(target=_end_after, args=(int(launcher),), daemon=True).start()


def _end_after(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(1)
    time.sleep(ORDERLY_SECONDS)  # the kernel's signal has begun an orderly stop (on Linux)
    os.killpg(os.getpgrp(), signal.SIGKILL)


@worker_shutting_down.connect
def stop_sweeping(**_: Any) -> None:
    _stopping.set()
