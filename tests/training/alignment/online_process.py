"""A real process that trains on toy rewards, and may kill itself with no chance to tidy up.

    python -m tests.training.alignment.online_process --config run.json [--kill WHERE]

WHERE `rollout:3` is in the middle of rewarding the third rollout; `backward:5` in the backward pass
of the fifth micro-step.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

import torch

from tests.training.alignment.online_toys import Reward, share_of, sources
from training.alignment import online
from training.alignment.config import TrainingConfig
from training.alignment.offline import make_accelerator
from training.alignment.rollouts.protocol import Rollout
from training.alignment.supervision import StopRequest


class Fuse:
    """Burns down by one at each call; at its end the process is killed."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def burn(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--kill", default="")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = TrainingConfig.load(arguments.config)
    place, _, count = arguments.kill.partition(":")
    vowels = share_of("aeiou")
    answers = config.prompts_per_step * config.samples_per_prompt
    fuse = Fuse((int(count) - 1) * answers + answers // 2) if place == "rollout" else None

    def reward(rollout: Rollout) -> float:
        if fuse is not None:
            fuse.burn()
        return vowels(rollout)

    if place == "backward":
        _kill_in_backward(int(count))
    accelerator = make_accelerator(torch.device("cpu"))
    toys = sources(Reward("vowels", reward))
    return 0 if online.train(config, accelerator, StopRequest(), toys) else 143


def _kill_in_backward(count: int) -> None:
    fuse, micro_step = Fuse(count), online.micro_step

    def burning(*arguments, **options):  # type: ignore[no-untyped-def]
        loss, figures = micro_step(*arguments, **options)
        loss.register_hook(lambda grad: fuse.burn())
        return loss, figures

    online.micro_step = burning


if __name__ == "__main__":
    sys.exit(main())
