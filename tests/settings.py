"""Settings for tests. pytest-django reads them before anything else, so the database starts here.

Set DATABASE_URL to use a server of your own. PREFLOOP_TESTS names the temporary folder of one
run; xdist's workers inherit it, so that all share one server.
"""

import atexit
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import cast

from core.embedded_postgres import ensure, stop_if_forgotten


def _remove_what_killed_runs_left() -> None:
    for folder in Path(tempfile.gettempdir()).glob("prefloop-tests-*"):
        users = folder / "server" / "postgres.users"
        with suppress(FileNotFoundError):  # another run clears up at the same time
            is_old = time.time() - folder.stat().st_mtime > 60
            if is_old and users.exists() and stop_if_forgotten(users.parent):
                shutil.rmtree(folder, ignore_errors=True)


if "PREFLOOP_TESTS" not in os.environ:
    _remove_what_killed_runs_left()
    _folder = Path(tempfile.mkdtemp(prefix="prefloop-tests-"))
    _folder.chmod(0o755)  # as root the database runs as another user, who must enter it
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)
    os.environ["PREFLOOP_TESTS"] = str(_folder)
    if not os.environ.get("DATABASE_URL"):
        os.environ["DATABASE_URL"] = ensure(_folder / "server", durable=False)

# Every worker has a data directory of its own.
_worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
os.environ["PREFLOOP_DATA_DIR"] = str(Path(os.environ["PREFLOOP_TESTS"]) / _worker)
os.environ["SECRET_KEY"] = "a-key-for-tests-only-and-long-enough-to-pass-every-check-of-keys"
os.environ["PREFLOOP_LOG_LEVEL"] = "WARNING"
os.environ.pop("PUBLIC_URL", None)
# Playwright's sync API keeps an event loop in the test's thread, which Django would refuse.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

from config.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# A query that runs away fails its own test instead of blocking all that follow.
_options = cast("dict[str, str]", DATABASES["default"]["OPTIONS"])  # noqa: F405
_options["options"] = "-c statement_timeout=120s"
