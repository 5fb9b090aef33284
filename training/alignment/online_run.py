"""What the online loop needs before its first beat and after its last."""

import inspect
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from training.alignment import checkpoints, watching
from training.alignment.batches import BatchPlan
from training.alignment.config import TrainingConfig
from training.alignment.data import DataError, read_data
from training.alignment.failures import TrainingError
from training.alignment.files import write_json
from training.alignment.identity import differences
from training.alignment.journal import Journal
from training.alignment.log_probs import CompletionScorer
from training.alignment.methods import Method, get_method, parse_hyperparameters
from training.alignment.models import load_tokenizer, merge_lora, save_model
from training.alignment.online_checks import (
    check_launch,
    check_positions,
    check_settings,
    check_sources,
    check_vocabularies,
)
from training.alignment.online_identity import FREE, identity
from training.alignment.optimization import make_optimizer
from training.alignment.policies import as_saved, compute_dtype, load_policy, load_scorer
from training.alignment.rewards.build import build_rewards
from training.alignment.rewards.composed import Composed, OwnRewards
from training.alignment.rollouts.build import build_rollouts
from training.alignment.rollouts.protocol import Prompt, RolloutSource
from training.alignment.run_data import (
    check_samples,
    demonstrations,
    held_out_pairs,
    limits,
    pretraining_texts,
    read_options,
    skips,
)
from training.alignment.tokenization import (
    DataReport,
    Example,
    cut_prompt,
    encode_prompts,
)
from training.alignment.value_model import ValueScorer, load_value_model


@dataclass(frozen=True)
class Sources:
    """Where answers come from, what they are worth, and what is only watched."""

    rollouts: RolloutSource
    rewards: Composed
    watched: Composed | None = None


@dataclass(frozen=True)
class Run:
    """What the beats of the loop share."""

    config: TrainingConfig
    method: Method
    hyperparameters: Mapping[str, Any]
    prompts: Sequence[Prompt]
    held_out: Sequence[Prompt]
    ptx: Sequence[Example]
    plan: BatchPlan
    policy: CompletionScorer  # before any distributed wrapper, for passes without gradient
    critic: ValueScorer | None
    reference: CompletionScorer
    sources: Sources
    tokenizer: Any
    optimizer: torch.optim.Optimizer
    accelerator: Accelerator
    journal: Journal
    identity: Mapping[str, Any]

    @property
    def output(self) -> Path:
        """The run's folder."""
        return Path(self.config.output_dir)

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def modules(self) -> nn.ModuleDict:
        """All that is trained, by name."""
        critic = {} if self.critic is None else {"critic": self.critic}
        return nn.ModuleDict({"policy": self.policy, **critic})

    @property
    def loss(self) -> Callable[..., Any]:
        """The method's loss a token."""
        return self.method.load_loss()

    @property
    def statistic(self) -> Callable[..., Any]:
        """What turns a step's rewards into advantages."""
        statistic = self.method.load_step_statistic()
        if statistic is None:
            raise TrainingError(f"{self.method.title} has no function of advantages.")
        return statistic


def prepare(
    config: TrainingConfig,
    accelerator: Accelerator,
    journal: Journal,
    sources: Sources | None,
    rewards: OwnRewards | None = None,
) -> Run:
    """Load all that a run needs; `sources` and `rewards` as `online.train` takes them.

    Raises OptionError, DataError, ModelError or RewardError with a message.
    """
    method = get_method(config.method)
    hyperparameters = asdict(parse_hyperparameters(method, config.hyperparameters))
    check_launch(method, accelerator.distributed_type)
    check_settings(config, method, hyperparameters, accelerator.num_processes)
    own = None if rewards is None else Composed.of(rewards)
    if sources is None:
        check_sources(config, own)
    tokenizer = load_tokenizer(config.base_model)
    check_vocabularies(config, method, tokenizer)
    prompts, held_out = _both_sides(config, method, tokenizer, accelerator, journal)
    ptx = pretraining_texts(config, tokenizer) if "ptx_coefficient" in hyperparameters else []
    demonstrations(config, tokenizer)  # the evaluation's: a bad row must not wait until then
    held_out_pairs(config, tokenizer)
    policy = load_policy(config, accelerator.device)
    critic = _critic(config, accelerator.device) if method.needs_value_model else None
    reference = load_scorer(config, config.reference, accelerator.device, config.reference_adapter)
    policy.temperature = reference.temperature = config.temperature
    sources = sources or build_sources(config, policy, tokenizer, own)
    for composed in filter(None, (sources.rewards, sources.watched)):
        composed.check_facts([*prompts, *held_out])
    return Run(
        config=config,
        method=method,
        hyperparameters=hyperparameters,
        prompts=prompts,
        held_out=held_out,
        ptx=ptx,
        plan=BatchPlan(len(prompts), config.prompts_per_step, 1, 1, config.seed),
        policy=policy,
        critic=critic,
        reference=reference,
        sources=sources,
        tokenizer=tokenizer,
        optimizer=_optimizer(config, policy, critic),
        accelerator=accelerator,
        journal=journal,
        identity=identity(
            config,
            processes=accelerator.num_processes,
            prompts=prompts,
            held_out=held_out,
            ptx=ptx,
            rewards=sources.rewards,
        ),
    )


def _both_sides(
    config: TrainingConfig,
    method: Method,
    tokenizer: Any,
    accelerator: Accelerator,
    journal: Journal,
) -> tuple[list[Prompt], list[Prompt]]:
    """The prompts to train on, and those to watch: `sample_prompts` of the others."""
    prompts, report = load_prompts(config, tokenizer, config.train_file)
    held_out, held_out_report = (
        load_prompts(config, tokenizer, config.held_out_file)
        if config.held_out_file
        else ([], DataReport())
    )
    longest = max(report.longest_sequence, held_out_report.longest_sequence)
    check_positions(config, method, longest)
    if held_out:
        check_samples(config, held_out_report.longest_sequence)
    if accelerator.is_main_process:
        reports = {"train": asdict(report), "held_out": asdict(held_out_report)}
        write_json(Path(config.output_dir) / "data_report.json", reports)
        journal.say(f"Training data: {report.in_words()}.")
        if held_out:
            journal.say(f"Held-out data: {held_out_report.in_words()}.")
    # The first rows of a file are seldom like the rest.
    order = np.random.default_rng([config.seed, 2]).permutation(len(held_out))
    return prompts, [held_out[place] for place in order[: config.sample_prompts]]


def load_prompts(
    config: TrainingConfig, tokenizer: Any, file: str
) -> tuple[list[Prompt], DataReport]:
    """The prompts of any kind of data, each once, and what was cut; raises DataError naming it."""
    rows, source = read_data(Path(file), "prompts", read_options(config, "prompts"))
    report, bounds = DataReport(rows=len(rows), source=source), limits(config)
    try:
        encoded = encode_prompts(rows, tokenizer, report, skip_bad=skips(config))
    except DataError as error:
        raise DataError(f"{Path(file).name}: {error}") from error
    prompts: dict[str, Prompt] = {}
    for row, tokens in encoded:
        kept = cut_prompt(tokens, bounds, tokenizer.bos_token_id)
        # A prompt that many pairs share is one prompt to answer.
        if row.prompt_key not in prompts:
            prompts[row.prompt_key] = Prompt(row.prompt_key, kept, row.prompt, row.facts)
            report.prompts_truncated += len(kept) < len(tokens)
    report.examples = len(prompts)
    report.longest_sequence = max(len(prompt.tokens) for prompt in prompts.values())
    return list(prompts.values()), report


def step_prompts(run: Run, step: int) -> list[Prompt]:
    """The prompts of a step over all processes, a function of (seed, step).

    A step that is larger than the data asks a prompt again, under another id: its answers must not
    be the same ones.
    """
    seen: dict[str, int] = {}
    chosen = []
    for index in run.plan.step_indices(step):
        prompt = run.prompts[index]
        number = seen[prompt.id] = seen.get(prompt.id, -1) + 1
        chosen.append(replace(prompt, id=f"{prompt.id}/{number}") if number else prompt)
    return chosen


def hand_on_weights(run: Run) -> None:
    """Have the next answers sampled from the weights of now.

    A server that all processes ask is told once: they would write one folder at the same time.
    """
    source, accelerator = run.sources.rollouts, run.accelerator
    if accelerator.is_main_process or not getattr(source, "shared", False):
        source.update(run.policy.model)
    accelerator.wait_for_everyone()


def sampling_seed(seed: int, step: int) -> int:
    """The seed of all that is sampled in a step."""
    return int(np.random.SeedSequence([seed, step, 7]).generate_state(1)[0] >> 1)


def call(function: Callable[..., Any], available: Mapping[str, Any]) -> Any:
    """Call a function with what its signature names."""
    names = inspect.signature(function).parameters
    return function(**{name: value for name, value in available.items() if name in names})


def resume(run: Run) -> tuple[int, dict[str, float]]:
    """Load the last valid checkpoint, if any: the step to go on from, and the method's state."""
    found = checkpoints.latest_checkpoint(run.output / "checkpoints")
    if found is None:
        _rewind(run, 0, -1)
        known = ("kl_coefficient",)
        return 0, {name: run.hyperparameters[name] for name in known if name in run.hyperparameters}
    changed = differences(found.state["identity"], run.identity, free=FREE)
    if changed:
        raise TrainingError(
            "The output folder holds a checkpoint of a run with other settings or other contents "
            f"of what it reads: {', '.join(changed)}. Go on with what that run had, or use a new "
            "folder."
        )
    checkpoints.load_checkpoint(found, run.modules, run.optimizer)
    _rewind(run, found.step, found.step)
    run.journal.say(f"Going on from the checkpoint after step {found.step}.")
    return found.step, dict(found.state["method_state"])


def checkpoint(run: Run, step: int, state: Mapping[str, float]) -> None:
    """Keep weights, optimiser, critic, the method's state and the position."""
    if run.accelerator.is_main_process:
        checkpoints.save_checkpoint(
            run.output / "checkpoints",
            step=step,
            module=run.modules,
            optimizer=run.optimizer,
            state={"identity": run.identity, "method_state": dict(state)},
        )
    run.accelerator.wait_for_everyone()


def save(run: Run) -> None:
    """The whole model for any loader; a LoRA adapter also on its own beside it."""
    for unfinished in run.output.glob(".model-*"):
        shutil.rmtree(unfinished)
    policy: Any = as_saved(run.config, run.policy).model
    if run.config.adapter == "lora":
        policy.save_pretrained(run.output / "adapter")
        policy = merge_lora(policy)
    save_model(policy, run.tokenizer, run.output / "model")


def _rewind(run: Run, step: int, journal_step: int) -> None:
    run.journal.rewind(journal_step)
    if run.accelerator.is_main_process:
        watching.rewind_samples(run.output, step)


def build_sources(
    config: TrainingConfig,
    policy: CompletionScorer,
    tokenizer: Any,
    rewards: Composed | None = None,
) -> Sources:
    """What the configuration names, but for rewards that are given.

    Raises OptionError, RolloutError or RewardError.
    """
    device = next(policy.parameters()).device
    shared = {"tokenizer": tokenizer, "device": device}
    return Sources(
        build_rollouts(
            config.rollout_source,
            policy=policy.model,
            tokenizer=tokenizer,
            dtype=compute_dtype(config),
        ),
        rewards or build_rewards(config.reward_sources, **shared),
        build_rewards(config.watch_sources, **shared) if config.watch_sources else None,
    )


def _critic(config: TrainingConfig, device: torch.device) -> ValueScorer:
    folder = config.value_model or config.base_model
    model = load_value_model(folder, dtype=torch.float32, device=device, seed=config.seed)
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return ValueScorer(model, compute_dtype(config))


def _optimizer(
    config: TrainingConfig, policy: nn.Module, critic: nn.Module | None
) -> torch.optim.Optimizer:
    """One optimiser, a group a model, in the order of the names in `Run.modules`.

    `peak` is the group's learning rate at the top of the schedule.
    """
    optimizer = make_optimizer(config, checkpoints.trainable(policy).values())
    optimizer.param_groups[0]["peak"] = config.learning_rate
    if critic is not None:
        own = config.value_learning_rate
        peak = config.learning_rate if own is None else own
        parameters = list(checkpoints.trainable(critic).values())
        optimizer.add_param_group({"params": parameters, "peak": peak})
    return optimizer
