#!/usr/bin/env python
"""Django's command line for Prefloop."""

import os
import sys
import time

# These need no database.
WITHOUT_DATABASE = {"help", "version", "--help", "-h", "--version"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    asks_help = {"--help", "-h"} & set(sys.argv)
    if command not in WITHOUT_DATABASE and not asks_help and not os.environ.get("DATABASE_URL"):
        os.environ["DATABASE_URL"] = embedded_database(tell=command == "run")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a setting that makes no sense
        sys.exit(str(error))


def embedded_database(*, tell: bool) -> str:
    """The URL of the embedded database, which is started if need be and held until the end."""
    from config.environment import data_dir
    from core.embedded_postgres import PostgresError, ensure

    started = time.monotonic()
    if tell:
        print("Starting the database … ", end="", flush=True)
    try:
        url = ensure(data_dir())
    except PostgresError as error:
        sys.exit(f"\n{error}" if tell else str(error))
    except OSError as error:
        sys.exit(
            f"The data directory {data_dir()} cannot be used ({error.strerror}). Give yourself the "
            "right to write it, or choose another with PREFLOOP_DATA_DIR=/some/folder."
        )
    if tell:
        print(f"{time.monotonic() - started:.1f} s", flush=True)
    return url


if __name__ == "__main__":
    main()
