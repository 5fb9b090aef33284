"""The web server's settings: `gunicorn -c python:config.gunicorn config.wsgi`."""

from __future__ import annotations

import gc
import os
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

bind = f"{settings.HOST}:{settings.PORT}"
workers = settings.WEB_PROCESSES
worker_class = "gthread"
threads = 4
# One loaded application for all web processes: less memory, and a killed one is back at once.
preload_app = True
timeout = 120
graceful_timeout = 8
control_socket_disable = True
# Their liveness files must not wait for a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


def when_ready(server: object) -> None:
    """Before the web processes are made: what they share is loaded once, and nobody's first page
    waits for it. Nor is it looked through again by each process's collector.
    """
    warm_up()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def warm_up() -> None:
    # Not before Django is set up, which preloading the application does.
    from django.template.loader import get_template
    from django.urls import get_resolver

    from core.rendering import render_markdown

    get_resolver().check()
    folder = settings.BASE_DIR / "templates"
    for path in sorted(folder.rglob("*.html")):
        get_template(str(path.relative_to(folder)))
    render_markdown("`warm`")
