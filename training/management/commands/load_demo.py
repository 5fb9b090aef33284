"""manage.py load_demo"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.errors import PrefloopError
from training.services.demo import SIGN_INS, load_demo


class Command(BaseCommand):
    help = (
        "Load the demo project: prompts with responses and judgments, and three people (labeler, "
        "researcher, admin) whose generated passwords are written to a file that only you can "
        "read. Does nothing when it is there, or when the instance has people of its own."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = load_demo(content=Path(settings.BASE_DIR) / "annotation/demo/demo.jsonl")
        except PrefloopError as error:
            raise CommandError(error.message) from error
        if options["verbosity"] == 0:
            return
        if project is None:
            self.stdout.write("This instance has people of its own; no demo was loaded.")
        else:
            where = settings.DATA_DIR / SIGN_INS
            self.stdout.write(f"The demo is project {project.pk}. Sign in with {where}.")
