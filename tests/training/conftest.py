"""Real snapshots, a tiny model and runs on them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from annotation.models import Kind, Prompt, Side
from core.canonical_json import digest
from feedback.models import Snapshot
from feedback.services import freeze_snapshot
from tests.cast import Cast
from tests.feedback.votes import judged
from tests.training.alignment.tiny import write_model
from training.alignment.methods import methods
from training.models import TrainingRun
from training.services import queue_run

# A second or two of training, with checkpoints to resume from.
QUICK: dict[str, Any] = {
    "device": "cpu", "epochs": 1000, "max_steps": 6, "batch_size": 2, "gradient_accumulation": 1,
    "learning_rate": 1e-3, "warmup_steps": 0, "checkpoint_every": 2, "evaluate_every": 2,
    "sample_prompts": 2, "sample_max_new_tokens": 8, "max_length": 200, "max_prompt_length": 120,
}  # fmt: skip
TINY = "tiny"
ONLINE = [one.name for one in methods() if one.loop == "online"]
Launch = Callable[..., TrainingRun]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal numbers need an equal count of threads, and the machine has other tests to run."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def tiny_model_folder() -> Path:
    folder = Path(settings.DATA_DIR) / "models" / TINY
    # Room for the lengths of a form that nobody touched.
    return write_model(folder, positions=2048)


@pytest.fixture
def short_model(tiny_model_folder: Path, tmp_path: Path, settings: Any) -> str:
    """Offered beside the others: a model with 256 positions."""
    folder = shutil.copytree(tiny_model_folder, tmp_path / "models" / "short")
    config = json.loads((folder / "config.json").read_text()) | {"max_position_embeddings": 256}
    (folder / "config.json").write_text(json.dumps(config))
    settings.MODEL_DIRS = [*settings.MODEL_DIRS, folder.parent]
    return folder.name


@pytest.fixture
def snapshot(cast: Cast) -> Snapshot:
    """Eight pairs and four thumbs to train on, a few of each held out."""
    for side, count in ((Side.TRAIN, 8), (Side.HELD_OUT, 3)):
        for _ in range(count):
            judged(cast.project, Kind.PAIRWISE, 2, 1, side=side)
        for thumb in (0, 1):
            judged(cast.project, Kind.THUMBS, thumb, thumb, side=side)
            judged(cast.project, Kind.THUMBS, thumb, thumb, side=side)
    for prompt in Prompt.objects.all():
        Prompt.objects.filter(pk=prompt.pk).update(content_hash=digest(prompt.messages))
    return freeze_snapshot(project=cast.project, created_by=cast.rosa)


@pytest.fixture
def launch(cast: Cast, snapshot: Snapshot, tiny_model_folder: Path) -> Launch:
    def queue(method: str = "dpo", **changes: Any) -> TrainingRun:
        own = {"max_new_tokens": 40} if method in ONLINE else {}
        config = QUICK | own | changes.pop("config", {})
        fields = {
            "project": cast.project, "snapshot": snapshot, "method": method,
            "criterion": "overall", "base_model": TINY, "created_by": cast.ada,
        }  # fmt: skip
        return queue_run(**fields | {"config": config} | changes)

    return queue


@pytest.fixture
def orphans() -> Iterator[Callable[[], list[int]]]:
    """The training processes that are alive now, children of nobody that should be."""
    import psutil

    def alive() -> list[int]:
        return [
            process.pid
            for process in psutil.process_iter(["cmdline", "status"])
            if process.info["status"] != psutil.STATUS_ZOMBIE
            and f"{settings.DATA_DIR}/" in " ".join(process.info["cmdline"] or [])
            and "training.alignment" in " ".join(process.info["cmdline"] or [])
        ]

    yield alive
    assert alive() == []
