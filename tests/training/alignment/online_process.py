"""A real process that trains on toy rewards, and may end itself on the way.

    python -m tests.training.alignment.online_process --config run.json [--kill|--stop WHERE]

WHERE `rollout:3` is in the middle of rewarding the third rollout; `backward:5` in the backward pass
of the fifth micro-step. Killed, it has no chance to tidy up; stopped, it is asked as a worker asks,
and a reward hangs from then on.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

import torch

from tests.training.alignment.online_toys import Reward, share_of, sources
from training.alignment import online
from training.alignment.config import TrainingConfig
from training.alignment.offline import make_accelerator
from training.alignment.rollouts.protocol import Rollout
from training.alignment.supervision import StopRequest


class Fuse:
    """Burns down by one at each call; at its end the process gets the signal."""

    def __init__(self, calls: int, number: signal.Signals) -> None:
        self.left, self.number = calls, number

    def burn(self) -> bool:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)
        return self.left == 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--kill", default="")
    parser.add_argument("--stop", default="")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = TrainingConfig.load(arguments.config)
    place, _, count = (arguments.kill or arguments.stop).partition(":")
    number = signal.SIGKILL if arguments.kill else signal.SIGTERM
    stop = StopRequest()
    stop.listen()
    vowels = share_of("aeiou")
    answers = config.prompts_per_step * config.samples_per_prompt
    half = answers // 2
    fuse = Fuse((int(count) - 1) * answers + half, number) if place == "rollout" else None

    def reward(rollout: Rollout) -> float:
        if fuse is not None and fuse.burn():
            time.sleep(600)
        return vowels(rollout)

    if place == "backward":
        _end_in_backward(Fuse(int(count), number))
    accelerator = make_accelerator(torch.device("cpu"))
    toys = sources(Reward("vowels", reward))
    return 0 if online.train(config, accelerator, stop, toys) else 143


def _end_in_backward(fuse: Fuse) -> None:
    micro_step = online.micro_step

    def burn(_gradient):  # type: ignore[no-untyped-def]
        fuse.burn()

    def burning(*arguments, **options):  # type: ignore[no-untyped-def]
        loss, figures = micro_step(*arguments, **options)
        loss.register_hook(burn)
        return loss, figures

    online.micro_step = burning


if __name__ == "__main__":
    sys.exit(main())
