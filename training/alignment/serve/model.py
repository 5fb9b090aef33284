"""The model folder that is served, and loading it anew."""

from pathlib import Path
from typing import Any

import torch

from training.alignment.generation import Engine
from training.alignment.generation.copies import sampling_copy
from training.alignment.models import fingerprint, load_model, load_tokenizer, resolve_device
from training.alignment.serve.wanted import Served
from training.alignment.tokenization import end_tokens


class ServedModel:
    """What is served of one folder; `served` describes what was loaded last."""

    served: Served

    def __init__(
        self, folder: Path, *, name: str, dtype: torch.dtype, device: str, rows: int
    ) -> None:
        self.folder = folder
        self.name = name
        self.dtype = dtype
        self.device = resolve_device(device)
        self.rows = rows

    def load(self) -> Engine:
        """The folder as it is now; raises ModelError or UnsupportedModelError."""
        tokenizer = load_tokenizer(self.folder)
        mark = fingerprint(self.folder)
        model = load_model(self.folder, dtype=self.dtype, device=self.device)
        positions = _positions(model)
        embeddings = int(model.get_input_embeddings().weight.shape[0])
        engine = Engine(
            sampling_copy(model, self.dtype, rows=self.rows), end_tokens(tokenizer), rows=self.rows
        )
        self.served = Served(self.name, tokenizer, positions, f"fp_{mark[:16]}", embeddings)
        return engine


def _positions(model: Any) -> int:
    return int(getattr(model.config.get_text_config(), "max_position_embeddings", 2**20))
