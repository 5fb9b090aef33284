"""Time and peak memory of the steps of one training process; imported by both sides.

Needs nothing but the standard library and torch, for the peer has an environment of its own. Where
a GPU is used, memory is what torch's tensors took of it at the peak.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Mapping
from pathlib import Path

import torch


class StepClock:
    """Told after every step; the first one warms up and is not counted."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.figures: list[Mapping[str, float]] = []  # of each step, as the trainer logs them
        self.began = self.began_cpu = 0.0

    def tick(self, loss: float, figures: Mapping[str, float]) -> None:
        self.losses.append(loss)
        self.figures.append(figures)
        if is_on_gpu():
            torch.cuda.synchronize()
        if len(self.losses) == 1:
            forget_peak()
            self.began, self.began_cpu = time.monotonic(), cpu_seconds()
        self.ended, self.ended_cpu = time.monotonic(), cpu_seconds()
        self.peak = peak_megabytes()

    def write(self, path: Path) -> None:
        figures = {
            "losses": self.losses,
            "figures": self.figures,
            "seconds": self.ended - self.began,
            "cpu_seconds": self.ended_cpu - self.began_cpu,
            "peak_mb": self.peak,
        }
        path.write_text(json.dumps(figures))


def is_on_gpu() -> bool:
    return torch.cuda.max_memory_allocated() > 0


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def forget_peak() -> None:
    """Let the GPU, or Linux, measure this process's peak memory from here on (proc(5))."""
    if is_on_gpu():
        torch.cuda.reset_peak_memory_stats()
        return
    Path("/proc/self/clear_refs").write_text("5")


def peak_megabytes() -> float:
    """Peak resident memory since `forget_peak`, or that of tensors on the GPU, in 10^6 bytes."""
    if is_on_gpu():
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6
