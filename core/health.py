"""Whether this process can serve: names of what is wrong, never details."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

FREE_BYTES_NEEDED = 200 * 1024 * 1024
# In the folder that web and workers share; each sweep touches it.
LAST_SWEEP = settings.DATA_DIR / "last-sweep"
# One sweep may be long, and a worker that was restarted waits before its first.
SWEEPS_MISSED, GRACE_SECONDS = 3, 60


def database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def is_migrated() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def has_disk_space() -> bool:
    return shutil.disk_usage(settings.DATA_DIR).free >= FREE_BYTES_NEEDED


def is_swept() -> bool:
    """Without sweeps nothing that was lost, abandoned or is due is taken up again."""
    with suppress(FileNotFoundError):
        age = time.time() - LAST_SWEEP.stat().st_mtime
        return bool(age < SWEEPS_MISSED * settings.SWEEP_SECONDS + GRACE_SECONDS)
    return False


def problems() -> list[str]:
    if not database_answers():
        return ["database"]
    checks = {"migrations": is_migrated, "disk": has_disk_space, "sweeper": is_swept}
    return [name for name, passes in checks.items() if not passes()]
