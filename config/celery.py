"""The Celery application: `celery -A config worker -Q default,judge,gpu`."""

from __future__ import annotations

import os
import threading
import warnings
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutting_down

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# Containers run as root; what a worker unpacks is JSON only.
warnings.filterwarnings("ignore", message="You're running the worker with superuser")

app = Celery("prefloop")
app.config_from_object("config.broker")  # read when first needed, after Django's settings
app.autodiscover_tasks()

_stop_sweeping = threading.Event()


@worker_ready.connect
def start_sweeping(**_: Any) -> None:
    """Each worker sweeps; an advisory lock in the database lets one at a time do it."""
    from config.broker import clean_processed
    from core import jobs

    jobs.sweeper(clean_processed)
    threading.Thread(
        target=jobs.sweep_forever, args=(_stop_sweeping,), name="sweep", daemon=True
    ).start()


@worker_shutting_down.connect
def stop_sweeping(**_: Any) -> None:
    _stop_sweeping.set()
