"""Celery's settings. The job row is the truth and a message a hint, which may be lost or doubled.

Without CELERY_BROKER_URL messages are files in the data directory; with it, Redis or Valkey.
"""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

from django.conf import settings
from kombu.entity import Queue
from kombu.transport import filesystem

FOLDER = settings.DATA_DIR / "queue"
KEEP_PROCESSED_SECONDS = 600


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]
        """Writes beside, then renames: kombu's own way lets a reader take a half-written file.

        Wall-clock names keep their order over a restart of the machine.
        """
        name = f"{time.time_ns()}_{uuid.uuid4()}.{queue}.msg"
        part = Path(self.data_folder_in) / f".{name}.part"
        part.write_text(json.dumps(payload))
        part.rename(Path(self.data_folder_in) / name)


class Transport(filesystem.Transport):
    Channel = Channel


def clean_processed() -> None:
    """Removes messages that were handed out a while ago (kombu keeps them for ever)."""
    oldest = time.time() - KEEP_PROCESSED_SECONDS
    for message in _folder("processed").glob("*.msg"):
        if message.stat().st_mtime < oldest:
            message.unlink(missing_ok=True)


def _folder(name: str) -> Path:
    path: Path = FOLDER / name
    for folder in (FOLDER, path):
        folder.mkdir(mode=0o700, exist_ok=True)
    return path


if settings.CELERY_BROKER_URL:
    broker_url = settings.CELERY_BROKER_URL
    broker_transport_options: dict[str, Any] = {
        # A hint that a dead worker held comes back after at most this; a double does no harm.
        "visibility_timeout": 900,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
    }
else:
    broker_url = "filesystem://localhost"
    broker_transport = "config.broker:Transport"
    broker_transport_options = {
        "data_folder_in": str(_folder("messages")),
        "data_folder_out": str(_folder("messages")),
        "processed_folder": str(_folder("processed")),
        "control_folder": str(_folder("control")),
        "store_processed": True,
        "polling_interval": 0.1,
    }

broker_connection_retry_on_startup = True
task_queues = [
    Queue(name, routing_key=name)  # type: ignore[no-untyped-call]
    for name in ("default", "judge", "gpu")
]
task_default_queue = "default"
task_create_missing_queues = False
task_serializer = "json"
accept_content = ["json"]
task_ignore_result = True
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
# The row is asked for state and cancellation, so that nobody needs to talk to a worker.
worker_enable_remote_control = False
worker_send_task_events = False
worker_max_tasks_per_child = 100
worker_hijack_root_logger = False
# On SIGQUIT a worker gives its task this long, then goes; the job's lease brings the work back.
worker_soft_shutdown_timeout = 3.0
enable_utc = True
timezone = "UTC"
