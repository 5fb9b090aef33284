"""Queues, cancels and resumes training runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.conf import settings as django_settings
from django.db import transaction

from annotation.models import Project
from core import jobs
from core.errors import PrefloopError
from core.models import Job, User
from core.services.audit import record_event
from feedback.models import Snapshot
from training.alignment.config import TrainingConfig
from training.alignment.methods import Method, get_method, parse_hyperparameters
from training.alignment.options import OptionError
from training.alignment.rollout_checks import check_rollouts
from training.models import Sweep, TrainingRun
from training.selectors.budget import check_positions, known_positions, run_budget
from training.selectors.model import find_model
from training.selectors.training_data import rows_by_criterion, rows_of_kind
from training.services.client_key import KeyUsed, is_same_run
from training.services.rewards import check_rewards

# The worker knows where things lie; nobody else names a path.
PATHS = (
    "base_model",
    "start_adapter",
    "reference_model",
    "value_model",
    "evaluation_reward_model",
    "train_file",
    "held_out_file",
    "demonstrations_file",
    "held_out_pairs_file",
    "ptx_file",
    "reference_cache",
    "output_dir",
)
# A sum over few weights needs a larger step than a sum over all.
LORA_LEARNING_RATE = 1e-4


@transaction.atomic
def queue_run(
    *,
    project: Project,
    snapshot: Snapshot,
    method: str,
    criterion: str,
    base_model: str,
    config: Mapping[str, Any],
    created_by: User | None,
    name: str = "",
    binary_from_pairs: bool = False,
    rewrites: bool = False,
    evaluated_by: str = "",
    sweep: Sweep | None = None,
    client_key: str | None = None,
) -> TrainingRun:
    """`config` holds TrainingConfig's keys without method and paths; what is left out takes its
    default. Reward models are named as versions, "version:3"; `evaluated_by` is one that compares
    answers before and after. A second call with the same client key returns the first call's run;
    with other settings it raises KeyUsed.
    """
    values = run_values(
        project=project,
        snapshot=snapshot,
        method=method,
        criterion=criterion,
        base_model=base_model,
        config=config,
        name=name,
        binary_from_pairs=binary_from_pairs,
        rewrites=rewrites,
        evaluated_by=evaluated_by,
    )
    job = _enqueued(project, created_by, client_key)
    sent = TrainingRun.objects.filter(job=job).first()
    if sent is not None:
        if not is_same_run(sent, values):
            raise KeyUsed("run", sent.pk)
        return sent
    values = _served(values)
    run = TrainingRun.objects.create(
        job=job,
        **values,
        estimate=_foretold(values),
        sweep=sweep,
        seed=values["config"]["seed"],
        created_by=created_by,
    )
    record_event(actor=created_by, action="queue_run", target=run, project_id=project.pk)
    return run


def run_values(
    *,
    project: Project,
    snapshot: Snapshot,
    method: str,
    criterion: str,
    base_model: str,
    config: Mapping[str, Any],
    name: str = "",
    binary_from_pairs: bool = False,
    rewrites: bool = False,
    evaluated_by: str = "",
) -> dict[str, Any]:
    """What is asked of a run, as its row keeps it but for the versions of judges. Only the config
    is checked: what it names may be gone when the same is asked again."""
    positions = known_positions(project, base_model)
    options = {"binary_from_pairs": binary_from_pairs, "rewrites": rewrites}
    return {
        "project": project,
        "snapshot": snapshot,
        "method": method,
        "base_model": base_model,
        "criterion": criterion,
        "config": checked_config(method=method, config=config, positions=positions),
        "name": name.strip(),
        "data_options": options | {"evaluated_by": evaluated_by},
    }


def _served(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same with the versions of judges. Raises PrefloopError for what project and snapshot do
    not have."""
    project, snapshot, config = values["project"], values["snapshot"], values["config"]
    method, criterion = get_method(values["method"]), values["criterion"]
    options = dict(values["data_options"])
    evaluated_by = options.pop("evaluated_by")
    _check_snapshot(project, snapshot)
    find_model(project, values["base_model"])
    check_positions(project, values["base_model"], config)
    rewards = check_rewards(
        project=project,
        snapshot=snapshot,
        criterion=criterion,
        method=method,
        config=config,
        evaluated_by=evaluated_by,
    )
    _check_data(snapshot, method.name, criterion, convert=config["convert_data"], **options)
    _check_demonstrations(snapshot, method, criterion, config)
    return {**values, "config": config | rewards}


def _enqueued(project: Project, created_by: User | None, client_key: str | None) -> Job:
    return jobs.enqueue(
        "train",
        created_by=created_by,
        project_id=project.pk,
        idempotency_key=f"train:{project.pk}:{client_key}" if client_key else None,
    )


def _foretold(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the form told of it, to be held against what it took; a GPU's memory is not watched."""
    asked = {name: values[name] for name in ("project", "snapshot", "method", "base_model")}
    options = values["data_options"]
    try:
        budget = run_budget(
            **asked,
            criterion=values["criterion"],
            config=values["config"],
            binary_from_pairs=options["binary_from_pairs"],
            rewrites=options["rewrites"],
        )
    except PrefloopError:
        return {}
    memory = {"bytes": round(budget.bytes)} if budget.machine.memory else {}
    return {"seconds": budget.seconds, "basis": budget.machine.basis, **memory}


def checked_config(
    *, method: str, config: Mapping[str, Any], positions: int | None = None
) -> dict[str, Any]:
    """Every key of the library's configuration but paths, defaults included. Those of lengths fit
    a model of so many positions."""
    for key in (*PATHS, "method"):
        if key in config:
            raise PrefloopError(f"{key} cannot be set here.", **{key: "cannot be set here"})
    placeholders = dict.fromkeys(
        ("base_model", "train_file", "output_dir", "demonstrations_file"), "-"
    )
    # The library's own default may be a device that this instance does not offer.
    defaults = {"device": django_settings.TRAINING_DEVICES[0], **_lengths(positions)}
    defaults |= defaults_of(known_method(method), str(config.get("adapter", "full")))
    try:
        whole = TrainingConfig.from_dict({**defaults, **config, **placeholders, "method": method})
        chosen = parse_hyperparameters(get_method(method), whole.hyperparameters)
        if get_method(method).loop == "online":
            check_rollouts(whole, get_method(method), asdict(chosen))
    except OptionError as error:
        raise PrefloopError(f"{error}.", **{error.name: error.problem}) from error
    if whole.device not in django_settings.TRAINING_DEVICES:
        offered = ", ".join(django_settings.TRAINING_DEVICES)
        raise PrefloopError(f"This instance trains on {offered}, not on {whole.device}.")
    kept = {key: value for key, value in asdict(whole).items() if key not in (*PATHS, "method")}
    return kept | {"hyperparameters": asdict(chosen)}


def _lengths(positions: int | None) -> dict[str, int]:
    """Where nothing is said: the library's own, or what a model with fewer positions takes."""
    if positions is None or positions >= TrainingConfig.max_length:
        return {}
    prompt = min(TrainingConfig.max_prompt_length, positions // 2)
    return {"max_length": positions, "max_prompt_length": prompt}


def demonstrations_for(config: Mapping[str, Any]) -> str:
    """The path of a checked config that takes demonstrations beside the method's own data: PPO's
    pretraining texts, or what a reward model's zero is about; empty for other runs."""
    if "ptx_coefficient" in config.get("hyperparameters", {}):
        return "ptx_file"
    return "demonstrations_file" if config.get("score_zero") == "demonstrations" else ""


def defaults_of(method: Method, adapter: str) -> dict[str, Any]:
    """What a run of this method takes where nothing is said."""
    return {
        **method.defaults,
        **({"learning_rate": LORA_LEARNING_RATE} if adapter == "lora" else {}),
    }


def known_method(name: str) -> Method:
    try:
        return get_method(name)
    except OptionError as error:
        raise PrefloopError(f"{error}.", **{error.name: error.problem}) from error


def cancel_run(*, run: TrainingRun, actor: User | None) -> Job:
    """A queued run ends at once; a running one saves its state first."""
    job = jobs.request_cancel(job=run.job)
    record_event(actor=actor, action="cancel_run", target=run, project_id=run.project_id)
    return job


@transaction.atomic
def resume_run(*, run: TrainingRun, actor: User | None, kl_budget: float | None = None) -> Job:
    """A failed or cancelled run goes on from its last checkpoint; an online one under a larger KL
    budget, if one is given."""
    job = jobs.resume(job=run.job)
    detail = {}
    if kl_budget is not None and kl_budget != run.config.get("kl_budget"):
        detail = {"kl_budget": kl_budget, "before": run.config.get("kl_budget")}
        _raise_kl_budget(run, kl_budget)
    record_event(
        actor=actor, action="resume_run", target=run, project_id=run.project_id, detail=detail
    )
    return job


def _raise_kl_budget(run: TrainingRun, kl_budget: float) -> None:
    before = run.config.get("kl_budget")
    if before is None or get_method(run.method).loop != "online":
        raise PrefloopError(
            "This run has no KL budget that could be raised.", kl_budget="this run has none"
        )
    checked_config(method=run.method, config={"kl_budget": kl_budget})
    if kl_budget < before:
        raise PrefloopError(
            f"The KL budget of this run is {before:g} nats an answer, and can only be raised. "
            "Launch another run to try a smaller one.",
            kl_budget=f"must be above {before:g}",
        )
    run.config = {**run.config, "kl_budget": kl_budget}
    run.save(update_fields=["config"])


def _check_snapshot(project: Project, snapshot: Snapshot) -> None:
    if snapshot.project_id != project.pk:
        raise PrefloopError("This snapshot belongs to another project.")
    if snapshot.replaced_by_id is not None:
        raise PrefloopError(
            "Text was withdrawn from this snapshot, so its files are gone. Use the one that "
            "replaced it."
        )


def _check_data(snapshot: Snapshot, method: str, criterion: str, **switches: bool) -> None:
    known = get_method(method)
    rows = rows_by_criterion(snapshot, known, **switches).get(criterion)
    if rows is None:
        raise PrefloopError(
            f"{known.title} needs {known.data} data, and {snapshot} has none for the criterion "
            f"“{criterion}”. Collect and freeze such judgments, or choose another method."
        )
    if not rows.is_enough:
        empty = "held-out" if rows.train else "training"
        raise PrefloopError(
            f"{snapshot} has no {known.data} data on the {empty} side for “{criterion}”. "
            "Judge more prompts and freeze again."
        )


def _check_demonstrations(
    snapshot: Snapshot, method: Method, criterion: str, config: Mapping[str, Any]
) -> None:
    """A reward model's zero is about demonstrations alone; texts may also have been preferred."""
    path = demonstrations_for(config)
    if not path:
        return
    is_text = path == "ptx_file"
    rows = rows_of_kind(snapshot, "demonstrations", convert=is_text).get(criterion)
    if rows is None or not rows.is_enough:
        what = "demonstrations or preferred answers" if is_text else "demonstrations"
        asks = method.title if is_text else "score_zero “demonstrations”"
        raise PrefloopError(
            f"{asks} also needs {what}, on the training and the held-out side, and {snapshot} has "
            f"none for “{criterion}”. Collect and freeze some, or choose another."
        )
