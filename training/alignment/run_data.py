"""The data of one run: both sides as tokens, with their reference log-probabilities."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from training.alignment.batches import with_mismatched, with_text
from training.alignment.config import TrainingConfig
from training.alignment.data import (
    KINDS,
    DataError,
    Kind,
    ReadOptions,
    half_of,
    likelier_first,
    read_data,
    without_ties,
)
from training.alignment.data_report import balance_warnings
from training.alignment.files import write_json
from training.alignment.journal import Journal
from training.alignment.models import fingerprint, positions
from training.alignment.objective import Objective
from training.alignment.options import OptionError
from training.alignment.policies import load_scorer, weight_dtype
from training.alignment.reference import cache_key, reference_log_probs
from training.alignment.tokenization import (
    DataReport,
    Example,
    Limits,
    Tokens,
    tokenize_rows,
)
from training.alignment.vocabularies import check_reference


@dataclass(frozen=True)
class Data:
    """Both sides of the data with their reference log-probabilities, by role.

    Those of training rows that no step will use are NaN. `key` changes with every token,
    label, weight and rank, with the model that training starts from and with the reference.
    `demonstrations` are those of `demonstrations_file`.
    """

    train: Sequence[Example]
    held_out: Sequence[Example]
    train_reference: Mapping[str, Tensor]
    held_out_reference: Mapping[str, Tensor]
    key: str
    demonstrations: Sequence[Example] = ()

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of the longest sequence of each training example, by which steps are dealt."""
        return [len(example) for example in self.train]


def load_data(
    config: TrainingConfig,
    objective: Objective,
    tokenizer: Any,
    accelerator: Accelerator,
    journal: Journal,
    rows_used: Callable[[int], Sequence[int]],
) -> Data:
    """Read, tokenise and, where the method needs it, score both sides under the reference.

    `rows_used` tells, of a number of training examples, which of them the run will use. Raises
    OptionError for a reference of another vocabulary than the policy's, DataError and ModelError.
    """
    if not objective.trains_rewards:  # an evaluation compares with it whatever the method needs
        check_reference(config, tokenizer, config.base_model)
    train_side, report = load_examples(
        config, objective, tokenizer, config.train_file, half=config.data_half
    )
    held_out, held_out_report = (
        load_examples(config, objective, tokenizer, config.held_out_file)
        if config.held_out_file
        else ([], DataReport())
    )
    extra = demonstrations(config, tokenizer)
    held_out_pairs(config, tokenizer)  # the evaluation's: a bad row must not wait until then
    if "desirable_weight" in objective.hyperparameters:
        report.warnings += _balance(objective, train_side)
    if accelerator.is_main_process:
        reports = {"train": asdict(report), "held_out": asdict(held_out_report)}
        write_json(Path(config.output_dir) / "data_report.json", reports)
        journal.say(f"Training data: {report.in_words()}.")
        if held_out:
            journal.say(f"Held-out data: {held_out_report.in_words()}.")
        for warning in report.warnings:
            journal.say(f"WARNING {warning}")
    # Mismatched answers join other prompts than those that the reports have measured them with.
    reported = (report.longest_sequence, held_out_report.longest_sequence)
    _check_positions(config, max(*reported, *map(len, train_side), *map(len, held_out)))
    if held_out and not objective.trains_rewards:
        check_samples(config, max(len(_prompt(example)) for example in held_out))
    # The last evaluation takes all of them, so that what they need was checked before.
    held_out = sample_prompts_whole(held_out, config.evaluation_limit, config.seed)
    start = fingerprint(config.base_model, config.start_adapter)
    if objective.method.needs_reference and config.reference_model is not None:
        start += fingerprint(config.reference_model)
    key = cache_key([*train_side, *held_out], objective.roles, start)
    if not objective.method.needs_reference:
        return Data(train_side, held_out, {}, {}, key, extra)
    used = sorted(set(rows_used(len(train_side))))
    values = _reference(
        config, objective, [*(train_side[row] for row in used), *held_out], accelerator, journal
    )
    return Data(
        train_side,
        held_out,
        {role: _scattered(part, used, len(train_side)) for role, part in values.items()},
        {role: part[len(used) :] for role, part in values.items()},
        key,
        extra,
    )


def _balance(objective: Objective, examples: Sequence[Example]) -> list[str]:
    good = sum(example.weight for example in examples if example.target == 1.0)
    bad = sum(example.weight for example in examples if example.target != 1.0)
    names = ("desirable_weight", "undesirable_weight")
    return balance_warnings(good, bad, **{name: objective.hyperparameters[name] for name in names})


def load_examples(
    config: TrainingConfig,
    objective: Objective,
    tokenizer: Any,
    file: str,
    half: str = "all",
) -> tuple[list[Example], DataReport]:
    """One side of the data, or a half of it, as tokens, and what was cut or dropped on the way.

    Raises DataError naming the file.
    """
    kind = objective.method.data
    rows, source = read_data(Path(file), kind, read_options(config, kind))
    report = DataReport(source=source)
    if half != "all":
        whole, rows = rows, half_of(rows, half)
        report.of_the_other_half = len(whole) - len(rows)
        if not rows:
            raise DataError(f"{Path(file).name}: no prompt falls into the {half} half of the data")
    if kind == "pairs" and objective.soft_labels:
        rows = likelier_first(rows)
    elif kind == "pairs":
        decided = without_ties(rows)
        report.ties_dropped = len(rows) - len(decided)
        rows = decided
    try:
        examples = tokenize_rows(rows, tokenizer, limits(config), report, skip_bad=skips(config))
        if "mismatched" in objective.roles:
            examples = with_mismatched(examples, seed=config.seed, max_length=config.max_length)
        if "text" in objective.roles:
            examples = with_text(examples)
    except DataError as error:
        raise DataError(f"{Path(file).name}: {error}") from error
    return examples, report


def limits(config: TrainingConfig) -> Limits:
    """How long sequences may be, and what is done with longer ones."""
    return Limits(
        config.max_length,
        config.max_prompt_length,
        config.truncation_side,
        drop_long=config.long_completions == "drop",
    )


def read_options(config: TrainingConfig, kind: Kind) -> ReadOptions:
    """What is done with rows of other kinds, with bad ones and with plain texts."""
    others = tuple(item for item in KINDS if item != kind)
    # Every kind of row has a prompt, and nobody means anything else by asking for prompts.
    return ReadOptions(
        convert=others if config.convert_data or kind == "prompts" else (),
        skip_bad=skips(config),
        as_chat=config.chat_texts,
        last_turn=config.assistant_turns == "last",
    )


def skips(config: TrainingConfig) -> bool:
    """Whether rows that cannot be used are left out, whoever finds them to be so."""
    return config.bad_rows == "skip"


def sample_prompts_whole(examples: Sequence[Example], limit: int, seed: int) -> list[Example]:
    """At most `limit` examples: all of each of some prompts, drawn by the seed, in file order.

    The first rows of a file are seldom like the rest, and half a prompt's rows would count it
    unlike the others. A single prompt of more rows than the limit is taken all the same.
    """
    if len(examples) <= limit:
        return list(examples)
    rows: dict[str, list[int]] = {}
    for number, example in enumerate(examples):
        rows.setdefault(example.prompt_key, []).append(number)
    keys, taken = sorted(rows), list[int]()
    for place in np.random.default_rng([seed, 3]).permutation(len(keys)):
        found = rows[keys[place]]
        if not taken or len(taken) + len(found) <= limit:
            taken += found
    return [examples[number] for number in sorted(taken)]


def _check_positions(config: TrainingConfig, longest: int, what: str = "sequence") -> None:
    """Refuse what a model has no positions for, before an index error or worse."""
    for folder in (config.base_model, config.reference):
        known = positions(folder)
        if known is not None and longest > known:
            raise OptionError(
                "max_length",
                f"the longest {what} has {longest} tokens, but {Path(folder).name} has only "
                f"{known} positions; set max_length to {known} or less",
            )


def check_samples(config: TrainingConfig, longest: int) -> None:
    """Refuse held-out prompts whose answers the evaluation's models have no positions for.

    `longest` is the longest prompt in tokens. Raises OptionError.
    """
    if config.sample_prompts == 0:
        return
    whole = longest + config.sample_max_new_tokens
    for folder in (config.base_model, config.reference):
        known = positions(folder)
        if known is not None and whole > known:
            raise OptionError(
                "sample_max_new_tokens",
                f"the longest held-out prompt has {longest} tokens and the evaluation's answers "
                f"may have {config.sample_max_new_tokens}, {whole} together, but "
                f"{Path(folder).name} has only {known} positions; lower sample_max_new_tokens or "
                "max_prompt_length, or set sample_prompts to 0",
            )


def _prompt(example: Example) -> Tokens:
    return next(iter(example.sequences.values())).prompt


def demonstrations(config: TrainingConfig, tokenizer: Any) -> list[Example]:
    """The rows of demonstrations_file as tokens; none without one."""
    if config.demonstrations_file is None:
        return []
    options = read_options(config, "demonstrations")
    return _beside(config, tokenizer, config.demonstrations_file, "demonstrations", options)


def held_out_pairs(config: TrainingConfig, tokenizer: Any) -> list[Example]:
    """The decided rows of held_out_pairs_file as tokens; none without one."""
    if config.held_out_pairs_file is None:
        return []
    options = read_options(config, "pairs")
    return _beside(config, tokenizer, config.held_out_pairs_file, "pairs", options)


def pretraining_texts(config: TrainingConfig, tokenizer: Any) -> list[Example]:
    """The rows of ptx_file as tokens: demonstrations, or the good answers of other data."""
    options = read_options(config, "demonstrations")
    options = replace(options, convert=("pairs", "lists", "binary"))
    return _beside(config, tokenizer, str(config.ptx_file), "demonstrations", options)


def _beside(
    config: TrainingConfig, tokenizer: Any, file: str, kind: Kind, options: ReadOptions
) -> list[Example]:
    """Rows beside the data that the run is about, read and cut as those are."""
    rows, _ = read_data(Path(file), kind, options)
    rows, report = without_ties(rows) if kind == "pairs" else rows, DataReport()
    try:
        examples = tokenize_rows(rows, tokenizer, limits(config), report, skip_bad=skips(config))
    except DataError as error:
        raise DataError(f"{Path(file).name}: {error}") from error
    _check_positions(config, max(map(len, examples)), f"text of {Path(file).name}")
    return examples


def _reference(
    config: TrainingConfig,
    objective: Objective,
    examples: Sequence[Example],
    accelerator: Accelerator,
    journal: Journal,
) -> dict[str, Tensor]:
    folder, adapter = config.reference, config.reference_adapter
    words = f"{Path(folder).name} with the adapter {Path(adapter).name}" if adapter else folder
    journal.say(
        f"The reference is {Path(words).name}; scoring the different answers of {len(examples)} "
        "examples, but for those that are known from before."
    )
    return reference_log_probs(
        examples,
        objective.roles,
        model_key=_model_key(config, folder, adapter),
        load_scorer=lambda: load_scorer(config, folder, accelerator.device, adapter),
        accelerator=accelerator,
        batch_size=2 * config.batch_size,
        cache=Path(config.reference_cache or Path(config.output_dir) / "reference"),
        progress=lambda done, count: journal.progress("reference", done, count),
    )


def _model_key(config: TrainingConfig, folder: str, adapter: str | None) -> str:
    """Names the reference's weights, their precision and whether an adapter stays beside them."""
    beside = adapter is not None and weight_dtype(config) is not torch.float32
    words = [fingerprint(folder, adapter), config.dtype, config.adapter]
    return " ".join([*words, "beside"] if beside else words)


def _scattered(values: Tensor, rows: Sequence[int], size: int) -> Tensor:
    """The first values at their rows of a tensor of `size` rows, the others NaN."""
    whole = values.new_full((size, *values.shape[1:]), torch.nan)
    whole[list(rows)] = values[: len(rows)]
    return whole
