"""What a run will need, from what the instance knows of its model, its data and its machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from statistics import mean, median
from typing import Any

import psutil
from django.db.models import Exists, OuterRef

from annotation.models import Project
from core.errors import PrefloopError
from feedback.models import Snapshot
from feedback.snapshot_files import read_records
from training.alignment import budget
from training.alignment.budget import Budget, Speed
from training.alignment.config import TrainingConfig
from training.alignment.methods import Method, get_method, methods
from training.alignment.options import OptionError
from training.alignment.sizes import DataSize, Machine, ModelSize, RewardModel
from training.models import MetricPoint, TrainingRun
from training.selectors.model import ModelChoice, Source, find_model, find_reward_model
from training.selectors.training_data import rows_by_criterion

CHARACTERS_PER_TOKEN = 4
# Words of a chat template around a prompt and its answer.
TEMPLATE_TOKENS = 24
RECORDS = 200
# SmolLM2-135M, whose config.json is written by the first run that uses it.
PACKAGED = ModelSize(
    layers=30,
    hidden=576,
    intermediate=1536,
    vocabulary=49152,
    key_value=192,
    tied=True,
    positions=8192,
)
FORMER_RUNS = 3
# Steps after its first, which warms up, that a former run must have for its pace to be one.
FEWEST_STEPS = 10
# A former run tells the speed of steps up to so many times its own operations.
COMPARABLE = 10
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
GPU_DRIVER = Path("/proc/driver/nvidia/version")
# Of a device and a precision.
FormerSpeeds = Callable[[str, str], list[Speed]]


def run_budget(
    *,
    project: Project,
    snapshot: Snapshot,
    method: str,
    criterion: str,
    base_model: str,
    config: Mapping[str, Any],
    binary_from_pairs: bool = False,
    rewrites: bool = False,
    former: FormerSpeeds | None = None,
    reward_like: str = "",
) -> Budget:
    """`config` is a checked one; `reward_like` names a model of the size of a reward model that is
    still to be trained, and comes to those that the config names; `former` tells the speeds of
    former runs where they are known already.

    Raises PrefloopError where the model is not here to measure or has no positions for the config,
    or where the source of rollouts is none.
    """
    known = get_method(method)
    whole = _library_config(method, config)
    size = model_size(project, base_model)
    check_positions(project, base_model, config)
    data = data_size(
        snapshot,
        known,
        criterion,
        binary_from_pairs=binary_from_pairs,
        convert=whole.convert_data,
        rewrites=rewrites,
    )
    machine = this_machine(whole)
    step = budget.step_operations(whole, known, size, data)
    speeds = (former or former_speeds)(whole.device, whole.dtype)
    machine = budget.measured(machine, comparable(speeds, step))
    rewards = _reward_models(project, config)
    if reward_like:
        rewards.append(RewardModel(model_size(project, reward_like)))
    try:
        return budget.estimate(whole, known, size, data, machine, rewards)
    except OptionError as error:
        raise PrefloopError(f"{error}.", **{error.name: error.problem}) from error


def model_size(project: Project, name: str) -> ModelSize:
    return size_of(find_model(project, name))


def size_of(choice: ModelChoice) -> ModelSize:
    if choice.source is Source.PACKAGE:
        return PACKAGED
    if not choice.is_ready:
        raise PrefloopError(
            f"{choice.title} is prepared by its first run; what a run needs is known after that."
        )
    try:
        return ModelSize.from_config(json.loads((choice.folder / "config.json").read_text()))
    except ValueError as error:
        raise PrefloopError(f"No estimate for {choice.title}: {error}.") from error


def known_positions(project: Project, name: str) -> int | None:
    """Tokens of the longest sequence that the model takes; None where its folder does not tell."""
    try:
        return model_size(project, name).positions
    except PrefloopError:
        return None


def check_positions(project: Project, base_model: str, config: Mapping[str, Any]) -> None:
    """Refuses at the launch what the worker would refuse once it has read the data."""
    known = known_positions(project, base_model)
    if known is not None and config["max_length"] > known:
        title = find_model(project, base_model).title
        words = f"{title} has only {known} positions; set it to {known} or less"
        raise PrefloopError(f"max_length is {config['max_length']}, but {words}.", max_length=words)


def _reward_models(project: Project, config: Mapping[str, Any]) -> list[RewardModel]:
    """Every one that the run would load: of an ensemble each, and those that only watch."""
    sources = [
        source
        for name in ("reward_sources", "watch_sources")
        for source in config.get(name, {}).values()
    ]
    return [
        RewardModel(
            size_of(find_reward_model(project, name)),
            width=2 if source.get("dtype") == "bfloat16" else 4,
        )
        for source in sources
        for name in source.get("folders", [])
    ]


def data_size(
    snapshot: Snapshot,
    method: Method,
    criterion: str,
    *,
    binary_from_pairs: bool = False,
    convert: bool = False,
    rewrites: bool = False,
) -> DataSize:
    rows = rows_by_criterion(
        snapshot, method, binary_from_pairs=binary_from_pairs, convert=convert, rewrites=rewrites
    )
    if criterion not in rows:
        raise PrefloopError(f"{snapshot} has no {method.data} data for “{criterion}”.")
    prompt, completion, longest = _lengths(snapshot.pk, snapshot.content_hash, criterion)
    return DataSize(
        examples=rows[criterion].train,
        held_out=rows[criterion].held_out,
        prompt=prompt,
        completion=completion,
        longest=longest,
        sequences=budget.sequences_of(method.data),
    )


def this_machine(config: TrainingConfig) -> Machine:
    """Of the web's machine; a worker elsewhere may be larger, and a GPU's memory is not known."""
    gpu = config.device == "cuda" or (config.device == "auto" and GPU_DRIVER.exists())
    memory = 0 if gpu else _memory()
    cores = len(os.sched_getaffinity(0))
    return budget.rule_of_thumb(memory=memory, cores=cores, gpu=gpu, dtype=config.dtype)


def former_speeds(device: str, dtype: str) -> list[Speed]:
    """Of the newest runs of some length that computed on this device in this precision.

    A step of an online run samples and scores as well, so its length says nothing of the speed.
    """
    beyond = MetricPoint.objects.filter(
        run=OuterRef("pk"), name="seconds_per_step", step__gt=FEWEST_STEPS
    )
    runs = TrainingRun.objects.filter(
        Exists(beyond),
        job__state="succeeded",
        config__device=device,
        config__dtype=dtype,
        method__in=[method.name for method in methods() if method.loop == "offline"],
    ).select_related("project", "snapshot")
    found = (_speed(run) for run in runs[:FORMER_RUNS])
    return [speed for speed in found if speed is not None]


def comparable(former: list[Speed], step_operations: float) -> list[Speed]:
    """Those with steps of a like size: a small model's take the time of their overhead, which says
    nothing of a large one's."""
    return [one for one in former if one.step_operations * COMPARABLE >= step_operations]


def _speed(run: TrainingRun) -> Speed | None:
    points = MetricPoint.objects.filter(run=run, name="seconds_per_step")
    seconds = list(points.order_by("step").values_list("value", flat=True)[1:500])
    method = get_method(run.method)
    options = {
        "binary_from_pairs": run.data_options.get("binary_from_pairs", False),
        "convert": run.config.get("convert_data", False),
        "rewrites": run.data_options.get("rewrites", False),
    }
    try:
        size = model_size(run.project, run.base_model)
        data = data_size(run.snapshot, method, run.criterion, **options)
    except PrefloopError:
        return None
    config = _library_config(run.method, run.config)
    return Speed(budget.step_operations(config, method, size, data), median(seconds))


def _library_config(method: str, config: Mapping[str, Any]) -> TrainingConfig:
    placeholders = dict.fromkeys(
        ("base_model", "train_file", "output_dir", "demonstrations_file"), "-"
    )
    return TrainingConfig.from_dict({**config, **placeholders, "method": method})


@lru_cache(maxsize=64)
def _lengths(snapshot_id: int, content_hash: str, criterion: str) -> tuple[float, float, int]:
    """Mean prompt, mean completion and longest of both in tokens, of the first records.

    A snapshot never changes; one whose text was withdrawn has another hash.
    """
    snapshot = Snapshot.objects.get(pk=snapshot_id)
    records = (one for one in read_records(snapshot, "train") if one["criterion"] == criterion)
    prompts, completions, longest = [], [], 1
    for record in islice(records, RECORDS):
        prompt = _tokens(record["prompt"]) + TEMPLATE_TOKENS
        answers = [_tokens(response["messages"]) for response in record["responses"]]
        prompts.append(prompt)
        completions += answers
        longest = max(longest, prompt + max(answers, default=0))
    return mean(prompts or [1]), mean(completions or [1]), longest


def _tokens(messages: list[dict[str, Any]]) -> int:
    characters = sum(len(str(message.get("content") or "")) for message in messages)
    return characters // CHARACTERS_PER_TOKEN + 1


def _memory() -> int:
    """Of the machine, or of the container where that is less."""
    total = int(psutil.virtual_memory().total)
    try:
        limit = CONTAINER_LIMIT.read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdecimal() else total
