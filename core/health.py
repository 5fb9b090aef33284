"""Whether this process can serve: names of what is wrong, never details."""

from __future__ import annotations

import shutil

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

FREE_BYTES_NEEDED = 200 * 1024 * 1024


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


def problems() -> list[str]:
    if not database_answers():
        return ["database"]
    checks = {"migrations": is_migrated, "disk": has_disk_space}
    return [name for name, passes in checks.items() if not passes()]
