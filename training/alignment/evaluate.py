"""Evaluate any model folder on the held-out side of a run.

python -m training.alignment.evaluate --config run.json --policy MODEL --output DIR
"""

import argparse
import os
import sys
from pathlib import Path

from training.alignment.config import TrainingConfig
from training.alignment.failures import reason


def main() -> int:
    """Parse, evaluate and say where; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.alignment.evaluate",
        description="Compare a model with the reference of a run on the run's held-out data: "
        "preference accuracy, margin, KL on samples, length, diversity and perplexity; of a reward "
        "model accuracy, calibration and slices. Writes "
        "evaluation.json and samples.jsonl.",
    )
    parser.add_argument("--config", type=Path, required=True, help="the run.json of the run")
    parser.add_argument("--policy", type=Path, help="model folder; the run's own when left out")
    parser.add_argument("--output", type=Path, help="folder to write into; the run's when left out")
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        output = _evaluate(arguments)
    except Exception as error:  # noqa: BLE001  # the process boundary: the reader gets one sentence
        print(reason(error), file=sys.stderr)
        return 1
    print(f"evaluation.json is in {output}")
    return 0


def _evaluate(arguments: argparse.Namespace) -> Path:
    from training.alignment.evaluation import evaluate_model
    from training.alignment.journal import Journal
    from training.alignment.models import resolve_device

    config = TrainingConfig.load(arguments.config)
    folder = Path(config.output_dir)
    output: Path = arguments.output or folder
    output.mkdir(parents=True, exist_ok=True)
    policy = arguments.policy or folder / "model"
    journal = Journal(output, active=True)
    evaluate_model(config, policy, output, resolve_device(config.device), journal)
    return output


if __name__ == "__main__":
    sys.exit(main())
