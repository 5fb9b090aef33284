"""Checkpoints: self-contained folders of safetensors and JSON; the last valid one wins.

A checkpoint is built under a temporary name, flushed to the disk, listed with its checksums in
`manifest.json` and renamed, so that a folder with a matching manifest is whole by construction.
Random numbers need no state: data order, dropout and sampling are functions of seed and step.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.alignment.files import flush
from training.alignment.sharding import assign, is_sharded, like, whole, whole_weights

KEPT = 2
_FILES = ("model.safetensors", "optimizer.safetensors", "state.json")


@dataclass(frozen=True)
class Checkpoint:
    """A valid checkpoint on disk and what its state.json says."""

    folder: Path
    step: int
    state: Mapping[str, Any]


def save_checkpoint(
    root: Path,
    *,
    step: int,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
    write: bool = True,
) -> Path:
    """Write the checkpoint after `step` updates and drop all but the last two.

    Of a sharded module all processes must call this, and those that do not `write` only give.
    """
    target = root / f"step-{step:08d}"
    if not write and not is_sharded(module):
        return target
    weights = whole_weights(module)
    states = _optimizer_tensors(optimizer, list(weights))
    if not write:
        return target
    root.mkdir(parents=True, exist_ok=True)
    for unfinished in root.glob(".building-*"):
        shutil.rmtree(unfinished)
    building = root / f".building-{step}"
    building.mkdir()
    save_file(dict(weights), building / _FILES[0])
    save_file(states, building / _FILES[1])
    (building / _FILES[2]).write_text(json.dumps({"step": step, **state}, indent=2), "utf-8")
    for name in _FILES:
        flush(building / name)
    (building / "manifest.json").write_text(json.dumps(_checksums(building), indent=2), "utf-8")
    flush(building / "manifest.json")
    flush(building)
    shutil.rmtree(target, ignore_errors=True)
    building.rename(target)
    flush(root)
    for old in sorted(root.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old)
    return target


def latest_checkpoint(root: Path) -> Checkpoint | None:
    """The newest checkpoint whose files match its manifest."""
    for folder in sorted(root.glob("step-*"), reverse=True):
        if _is_valid(folder):
            state = json.loads((folder / "state.json").read_text("utf-8"))
            return Checkpoint(folder, state["step"], state)
    return None


def load_checkpoint(
    checkpoint: Checkpoint, module: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Put the weights and the optimiser's state back in place."""
    parameters = trainable(module)
    weights = load_file(checkpoint.folder / "model.safetensors")
    if weights.keys() != parameters.keys():
        raise ValueError("the checkpoint holds other weights than this run trains")
    for name, parameter in parameters.items():
        assign(parameter, weights[name])
    tensors = load_file(checkpoint.folder / "optimizer.safetensors")
    states: dict[int, dict[str, Tensor]] = {}
    names = {name: index for index, name in enumerate(parameters)}
    for key, value in tensors.items():
        name, _, slot = key.rpartition("/")
        states.setdefault(names[name], {})[slot] = like(value, parameters[name])
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": states, "param_groups": groups})


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name and in the optimiser's order."""
    return {name: item for name, item in module.named_parameters() if item.requires_grad}


def _optimizer_tensors(optimizer: torch.optim.Optimizer, names: list[str]) -> dict[str, Tensor]:
    states = optimizer.state_dict()["state"]
    return {
        f"{names[index]}/{slot}": whole(value).cpu().contiguous()
        for index, slots in states.items()
        for slot, value in slots.items()
    }


def _checksums(folder: Path) -> dict[str, str]:
    return {name: _checksum(folder / name) for name in _FILES}


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_valid(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        return bool(manifest == _checksums(folder))
    except (OSError, json.JSONDecodeError):
        return False
