"""manage.py serve"""

from __future__ import annotations

import argparse
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.lookup import find_project, find_user
from annotation.models import Project
from core.errors import PrefloopError
from training.management.waiting import finish
from training.selectors.model import (
    VERSION_PREFIX,
    ModelChoice,
    Source,
    base_models,
    find_model,
    version_name,
)
from training.selectors.promotion import promoted_version
from training.services import request_base_model
from training.services.serving import Served, Serving, served_name, serving

PROMOTED = "promoted"
EPILOG = """\
Answers OpenAI's clients until Ctrl-C, on this machine only and with a key made for this start.
While it runs it is the provider “local: NAME”, which judges of all projects may use: its model is
probed, and calls to its address are allowed although it is inside. The workers that ask it must
run on this machine.

examples
  manage.py serve SmolLM2-135M-Instruct
  manage.py serve version:3 --project 1 --port 8101
  manage.py serve promoted --project 1"""


class Command(BaseCommand):
    help = "Serve a model of this instance to judges, and to any OpenAI-compatible client."

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            *args, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "name",
            metavar="NAME",
            help=f"a base model, {VERSION_PREFIX}N or {PROMOTED}; the latter two of --project",
        )
        parser.add_argument("--project", help="number or name of the project")
        parser.add_argument("--port", type=int, default=8100, help="0 takes any that is free")
        parser.add_argument("--rows", type=int, default=16, help="answers written at a time")
        parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
        parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
        parser.add_argument("--as", dest="username", help="who starts it")

    def handle(self, *args: Any, **options: Any) -> None:
        project = find_project(options["project"]) if options["project"] else None
        try:
            asked = self._asked(project, options)
            # Ended like by Ctrl-C, so that its address is forbidden again.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            with serving(asked, actor=find_user(options["username"])) as served:
                self._tell(served)
                served.wait()
        except PrefloopError as error:
            raise CommandError(error.message) from error
        except KeyboardInterrupt:
            self.stdout.write("The server has ended.")

    def _asked(self, project: Project | None, options: dict[str, Any]) -> Serving:
        choice = self._choice(project, options["name"])
        return Serving(
            choice,
            name=served_name(choice, project.pk if project else None),
            family=choice.name if choice.source is not Source.VERSION else "",
            **{name: options[name] for name in ("port", "rows", "dtype", "device")},
        )

    def _choice(self, project: Project | None, name: str) -> ModelChoice:
        if project is not None:
            if name == PROMOTED:
                version = promoted_version(project)
                if version is None:
                    raise CommandError(f"“{project}” has no promoted version; see promote.")
                name = version_name(version)
            return find_model(project, name)
        if name == PROMOTED or name.startswith(VERSION_PREFIX):
            raise CommandError(f"{name} is of a project: name it with --project.")
        for choice in base_models():
            if choice.name == name:
                return self._prepared(choice)
        known = ", ".join(choice.name for choice in base_models()) or "none"
        raise CommandError(f"There is no base model {name!r} here; there are: {known}.")

    def _prepared(self, choice: ModelChoice) -> ModelChoice:
        if not choice.is_ready:
            job = request_base_model(created_by=None, name=choice.name)
            finish(job, f"Preparing {choice.title}", inline=True)
        return choice

    def _tell(self, served: Served) -> None:
        model = served.model
        self.stdout.write(f"{model.provider.base_url} serves {model.name}.")
        self.stdout.write(f"It is the provider “{model.provider}” until this command ends.")
        if model.probe_error:
            self.stderr.write(f"It could not be probed: {model.probe_error}")
        else:
            can = [name for name, value in model.can.items() if value is True]
            self.stdout.write(f"It can: {', '.join(can) or 'answer'}.")
        # Whoever started it in the background reads this through a pipe.
        self.stdout.flush()
