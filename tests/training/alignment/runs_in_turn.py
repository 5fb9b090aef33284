"""Several runs in processes that are started once, for starting costs more than training.

accelerate launch … -m tests.training.alignment.runs_in_turn RUN.json …
"""

import sys
from pathlib import Path

from accelerate import Accelerator

from training.alignment.config import TrainingConfig
from training.alignment.train import run


def main() -> int:
    # At its end a run takes the process group away, which the next one needs.
    setattr(Accelerator, "end_training", lambda self: None)  # noqa: B010  # mypy minds a method
    return max(run(TrainingConfig.load(Path(path))) for path in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
