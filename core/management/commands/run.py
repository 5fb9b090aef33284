"""manage.py run"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.launcher.checks import CannotStart
from core.launcher.launch import Launcher


class Command(BaseCommand):
    help = (
        "Starts Prefloop on this machine: the database, the web server and the workers, and "
        "watches over them until Ctrl-C. Settings: PREFLOOP_PORT, PREFLOOP_HOST, "
        "PREFLOOP_DATA_DIR, DATABASE_URL, CELERY_BROKER_URL (see the README)."
    )
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            Launcher().run()
        except CannotStart as error:
            raise CommandError(str(error)) from error
