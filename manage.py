#!/usr/bin/env python
"""Django's command line for Prefloop."""

import os
import sys

# These run without a database, or (`run`) start it themselves.
WITHOUT_DATABASE = {"run", "help", "version", "collectstatic", "--help", "-h", "--version"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    asks_help = {"--help", "-h"} & set(sys.argv)
    if command not in WITHOUT_DATABASE and not asks_help:
        provide_database()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


def provide_database() -> None:
    """Without DATABASE_URL a command uses the embedded database, which it starts if need be."""
    if os.environ.get("DATABASE_URL"):
        return
    from config.environment import data_dir
    from core.embedded_postgres import PostgresError, ensure

    try:
        os.environ["DATABASE_URL"] = ensure(data_dir())
    except PostgresError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
