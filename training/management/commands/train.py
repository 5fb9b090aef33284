"""manage.py train"""

from __future__ import annotations

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.lookup import find_project, find_user
from core.errors import PrefloopError
from feedback.models import Snapshot
from training.alignment.config import TrainingConfig
from training.alignment.methods import Method, get_method, methods
from training.alignment.option_words import entries, entry
from training.alignment.options import describe_options
from training.forms.choice import by_family
from training.forms.rewards import reward_source
from training.management.waiting import finish, finish_all
from training.selectors.model import base_models
from training.selectors.sweep import sweep_table
from training.services import queue_run, queue_sweep
from training.services.run import PATHS
from training.views.estimates import estimate_or_reason

HIDDEN = (*PATHS, "method", "hyperparameters")
EXAMPLES = """
examples
  manage.py train --project 1 --method dpo --set learning_rate=5e-6 --set max_steps=20
  manage.py train --project 1 --snapshot 3 --method kto --set desirable_weight=1.3 \\
      --binary-from-pairs --set adapter=lora --no-wait
  manage.py train --project 1 --method dpo --vary beta=0.05,0.1,0.5 --vary learning_rate=1e-6,5e-6
  manage.py train --project 1 --method ppo --reward-model version:2 --set kl_budget=20"""


def _method(method: Method) -> list[str]:
    words = f"{method.title}; needs {method.data} data. {method.summary}"
    if method.defaults:
        chosen = ", ".join(f"{name}={value}" for name, value in method.defaults.items())
        words += f" Its own defaults: {chosen}."
    options = describe_options(method.hyperparameters)
    return [entry(method.name, words), *entries(options, indent=4)]


def _epilog() -> str:
    parts = ["methods, and their hyper-parameters"]
    for family, group in by_family(list(methods())):
        parts += ["", family]
        parts += [line for name, _ in group for line in _method(get_method(name))]
    parts += ["", "settings"]
    parts += entries(one for one in describe_options(TrainingConfig) if one.name not in HIDDEN)
    return "\n".join([*parts, EXAMPLES])


class Command(BaseCommand):
    help = "Queue a training run on a snapshot, and wait for it."

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            *args,
            epilog=_epilog(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **kwargs,
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, help="number or name of the project")
        parser.add_argument("--snapshot", type=int, help="its version (default: the newest)")
        parser.add_argument(
            "--method",
            required=True,
            choices=[one.name for one in methods()],
            metavar="METHOD",
            help="one of those below",
        )
        parser.add_argument("--criterion", help="default: the protocol's first")
        parser.add_argument(
            "--model", help="name of a base model, or version:N (default: the first offered)"
        )
        parser.add_argument("--name", default="", help="name of the run")
        parser.add_argument("--as", dest="username", help="who launches it")
        parser.add_argument(
            "--set",
            dest="values",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a setting or a hyper-parameter of the method; may be given many times",
        )
        parser.add_argument(
            "--vary",
            dest="grid",
            action="append",
            default=[],
            metavar="NAME=V1,V2",
            help="one run for each value, a sweep; of several, one for each combination",
        )
        parser.add_argument(
            "--binary-from-pairs",
            action="store_true",
            help="for methods that need binary data: chosen counts as good, rejected as bad",
        )
        parser.add_argument(
            "--rewrites",
            action="store_true",
            help="for methods that need pairs: what people rewrote counts as chosen",
        )
        parser.add_argument(
            "--reward-model", metavar="version:N", help="what an online method is rewarded by"
        )
        parser.add_argument(
            "--evaluated-by",
            metavar="version:N",
            default="",
            help="reward model that compares answers before and after",
        )
        how = parser.add_mutually_exclusive_group()
        how.add_argument(
            "--estimate", action="store_true", help="say what it would need, and train nothing"
        )
        how.add_argument("--no-wait", action="store_true", help="queue it and return")
        how.add_argument(
            "--inline", action="store_true", help="do the work in this process, without a worker"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            asked = self._asked(options)
            self._tell_estimate(asked)
            if options["estimate"]:
                return
            if options["grid"]:
                self._sweep(asked, options)
                return
            run = queue_run(**asked)
        except PrefloopError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Run {run.pk} of project {run.project_id} is queued.")
        if options["no_wait"]:
            return
        finish(run.job, "Training", inline=options["inline"])
        self.stdout.write(f"Version {run.job.result['version']} of project {run.project_id}.")

    def _sweep(self, asked: dict[str, Any], options: dict[str, Any]) -> None:
        sweep = queue_sweep(grid=parse_grid(options["grid"]), **asked)
        runs = sweep.runs.select_related("job").order_by("pk")
        self.stdout.write(f"Sweep {sweep.pk}: {len(runs)} runs are queued.")
        if options["no_wait"]:
            return
        failed = finish_all(runs, inline=options["inline"], complain=self.stderr.write)
        table = sweep_table(sweep)
        for row in table.rows:
            value = "–" if row.value is None else f"{row.value:.4f}"
            self.stdout.write(f"  {row.run.name:60} {table.metric} {value}")
        if failed:
            raise CommandError(f"{failed} of {len(runs)} runs have not succeeded.")

    def _asked(self, options: dict[str, Any]) -> dict[str, Any]:
        """The arguments of `queue_run`."""
        project = find_project(options["project"])
        snapshots = Snapshot.objects.filter(project=project)
        if options["snapshot"] is not None:
            snapshots = snapshots.filter(version=options["snapshot"])
        snapshot = snapshots.first()
        if snapshot is None:
            raise CommandError(f"“{project}” has no such snapshot. Freeze one: freeze_snapshot.")
        models = base_models()
        if options["model"] is None and not models:
            raise CommandError("No base model is offered here; see PREFLOOP_MODEL_DIRS.")
        return {
            "project": project,
            "snapshot": snapshot,
            "method": options["method"],
            "criterion": options["criterion"] or project.protocol.criterion_keys[0],
            "base_model": options["model"] or models[0].name,
            "config": self._config(options),
            "created_by": find_user(options["username"]),
            "name": options["name"],
            "binary_from_pairs": options["binary_from_pairs"],
            "rewrites": options["rewrites"],
            "evaluated_by": options["evaluated_by"],
        }

    def _config(self, options: dict[str, Any]) -> dict[str, Any]:
        config = parse_settings(options["method"], options["values"])
        if options["reward_model"]:
            config["reward_sources"] = reward_source(options["reward_model"])
        return config

    def _tell_estimate(self, asked: dict[str, Any]) -> None:
        names = (
            "project", "snapshot", "method", "criterion", "base_model", "config",
            "binary_from_pairs", "rewrites",
        )  # fmt: skip
        found = estimate_or_reason(**{name: asked[name] for name in names})
        told = found.get("told")
        if told is None:
            self.stdout.write(found["no_estimate"])
            return
        self.stdout.write(" ".join([told.sentence, told.speed, *told.notes]))
        for name, amount in (*told.memory, *told.time):
            self.stdout.write(f"  {name:34}{amount:>12}")
        self.stdout.write(told.basis)
        if told.warning:
            self.stderr.write(told.warning)


def parse_settings(method: str, given: list[str]) -> dict[str, Any]:
    """NAME=VALUE words as a config; values are JSON where they can be, else text."""
    known = {
        option.name
        for one in methods()
        if one.name == method
        for option in describe_options(one.hyperparameters)
    }
    config: dict[str, Any] = {}
    hyperparameters: dict[str, Any] = {}
    for word in given:
        name, equals, text = word.partition("=")
        if not equals:
            raise CommandError(f"--set takes NAME=VALUE, not {word!r}.")
        (hyperparameters if name in known else config)[name] = _value(text)
    return config | {"hyperparameters": hyperparameters}


def parse_grid(given: list[str]) -> dict[str, list[Any]]:
    """NAME=V1,V2 words as the values of each setting."""
    grid: dict[str, list[Any]] = {}
    for word in given:
        name, equals, text = word.partition("=")
        if not equals or name in grid:
            raise CommandError(f"--vary takes NAME=V1,V2, each name once, not {word!r}.")
        grid[name] = [_value(value.strip()) for value in text.split(",") if value.strip()]
    return grid


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
