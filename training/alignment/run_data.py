"""The data of one run: both sides as tokens, with their reference log-probabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from training.alignment.batches import with_mismatched
from training.alignment.config import TrainingConfig
from training.alignment.data import DataError, read_rows, without_ties
from training.alignment.files import write_json
from training.alignment.journal import Journal
from training.alignment.models import fingerprint
from training.alignment.objective import Objective
from training.alignment.policies import load_scorer
from training.alignment.reference import cache_key, reference_log_probs
from training.alignment.tokenization import DataReport, Example, Limits, tokenize_rows


@dataclass(frozen=True)
class Data:
    """Both sides of the data with their cached reference log-probabilities, by role.

    `key` changes with every token and with the model that training starts from.
    """

    train: Sequence[Example]
    held_out: Sequence[Example]
    train_reference: Mapping[str, Tensor]
    held_out_reference: Mapping[str, Tensor]
    key: str


def load_data(
    config: TrainingConfig,
    objective: Objective,
    tokenizer: Any,
    accelerator: Accelerator,
    journal: Journal,
) -> Data:
    """Read, tokenise and, where the method needs it, score both sides under the reference."""
    train_side, report = load_examples(config, objective, tokenizer, config.train_file)
    held_out, held_out_report = (
        load_examples(config, objective, tokenizer, config.held_out_file)
        if config.held_out_file
        else ([], DataReport())
    )
    held_out = held_out[: config.evaluation_limit]
    if accelerator.is_main_process:
        reports = {"train": asdict(report), "held_out": asdict(held_out_report)}
        write_json(Path(config.output_dir) / "data_report.json", reports)
        journal.say(f"Data: {reports}")
    everything = [*train_side, *held_out]
    key = cache_key(everything, objective.roles, fingerprint(config.base_model))
    if not objective.method.needs_reference:
        return Data(train_side, held_out, {}, {}, key)
    values = reference_log_probs(
        everything,
        objective.roles,
        model_key=f"{fingerprint(config.reference)} {config.dtype} {config.adapter}",
        load_scorer=lambda: load_scorer(config, config.reference, accelerator.device),
        accelerator=accelerator,
        batch_size=2 * config.batch_size,
        cache=Path(config.output_dir) / "reference.safetensors",
        progress=lambda done, count: journal.progress("reference", done, count),
    )
    split = len(train_side)
    return Data(
        train_side,
        held_out,
        {role: part[:split] for role, part in values.items()},
        {role: part[split:] for role, part in values.items()},
        key,
    )


def load_examples(
    config: TrainingConfig, objective: Objective, tokenizer: Any, file: str
) -> tuple[list[Example], DataReport]:
    """One side of the data as tokens, and what was cut or dropped on the way.

    Raises DataError naming the file.
    """
    report = DataReport()
    rows = read_rows(Path(file), objective.method.data)
    if objective.method.data == "pairs" and not config.soft_labels:
        decided = without_ties(rows)
        report.ties_dropped = len(rows) - len(decided)
        rows = decided
    limits = Limits(config.max_length, config.max_prompt_length, config.truncation_side)
    try:
        examples = tokenize_rows(rows, tokenizer, limits, report)
        if "mismatched" in objective.roles:
            examples = with_mismatched(examples, seed=config.seed, max_length=config.max_length)
    except DataError as error:
        raise DataError(f"{Path(file).name}: {error}") from error
    return examples, report
