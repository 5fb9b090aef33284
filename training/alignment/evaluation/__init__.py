"""What a finished model is worth on held-out data, the same for every method.

A policy: preference accuracy and margin, the movement of log-probabilities, perplexity before and
after; on samples, the KL divergence from the reference, length, diversity and, where a reward model
is given, the win rate. A reward model: accuracy, calibration and scores by slice. Intervals are
percentile bootstraps that resample whole prompts, 95 %.
"""

from pathlib import Path
from typing import Any

import torch

from training.alignment.config import TrainingConfig
from training.alignment.files import write_json
from training.alignment.journal import Journal
from training.alignment.methods import get_method
from training.alignment.models import load_tokenizer
from training.alignment.options import OptionError
from training.alignment.vocabularies import check_reference


def evaluate_model(
    config: TrainingConfig, model: Path, output: Path, device: torch.device, journal: Journal
) -> dict[str, Any]:
    """Evaluate a model folder as the run's held-out side asks; writes evaluation.json, and of a
    policy samples.jsonl, into `output` and returns the former.

    Raises OptionError for a run without a held-out side and for a policy whose token ids its
    reference cannot read.
    """
    if config.held_out_file is None:
        raise OptionError("held_out_file", "is not set, so that there is nothing to evaluate on")
    if get_method(config.method).trains == "reward":
        from training.alignment.evaluation.reward import evaluate_reward_model

        result = evaluate_reward_model(config, model, device, journal)
    else:
        from training.alignment.evaluation.policy import evaluate_policy

        if model != Path(config.output_dir) / "model":  # its own has the vocabulary it began with
            check_reference(config, load_tokenizer(model), model)
        result = evaluate_policy(config, model, output, device, journal)
    write_json(output / "evaluation.json", result)
    return result
