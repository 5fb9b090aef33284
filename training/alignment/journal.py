"""What a run says while it runs: metrics.jsonl for curves, progress.json for the bar, log lines."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

from training.alignment.files import replace_whole, write_json


class Journal:
    """Appends metric lines and tells the progress; only the main process writes."""

    def __init__(self, folder: Path, *, active: bool) -> None:
        self.metrics_file = folder / "metrics.jsonl"
        self.progress_file = folder / "progress.json"
        self.active = active
        if active:
            folder.mkdir(parents=True, exist_ok=True)

    def rewind(self, step: int) -> None:
        """Forget what a resumed run will say again: all after `step`, and its evaluation."""
        if not self.active or not self.metrics_file.exists():
            return
        lines = self.metrics_file.read_text("utf-8").splitlines(keepends=True)
        kept = [line for line in lines if _is_before(line, step)]
        with replace_whole(self.metrics_file) as temporary:
            temporary.write_text("".join(kept), "utf-8")

    def metrics(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        """Append one line; a reader never sees half of it once it ends with a newline."""
        if not self.active:
            return
        line = {"step": step, "time": time.time(), "total_steps": total_steps}
        with self.metrics_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, "metrics": dict(values)}) + "\n")

    def progress(self, phase: str, done: int, total: int, message: str = "") -> None:
        """Replace progress.json and, when there is a message, print it."""
        if not self.active:
            return
        write_json(
            self.progress_file,
            {"phase": phase, "done": done, "total": total, "time": time.time()},
        )
        if message:
            self.say(message)

    def say(self, message: str) -> None:
        """One log line."""
        if self.active:
            print(f"{time.strftime('%H:%M:%S')} {message}", flush=True)


def _is_before(line: str, step: int) -> bool:
    # A line that a crash cut short is forgotten as well.
    try:
        entry = json.loads(line)
    except json.JSONDecodeError:
        return False
    is_evaluation = any(name.startswith("held_out_") for name in entry["metrics"])
    return line.endswith("\n") and entry["step"] <= step - is_evaluation
