"""Log-probabilities under the reference model: computed once, kept on disk by content.

Each completion's value stands under the hash of its tokens, in a folder named after the model and
its precision. Tokenizer, chat template and truncation speak through the tokens, so that any run
with the same model and the same tokens finds them, whatever else it does.

A writer adds a file and never changes one: any number of runs may read and write at once.
"""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.alignment.files import replace_whole
from training.alignment.scoring import by_role, score_all, split_roles
from training.alignment.tokenization import Example, TokenSequence

# Sequences whose values are written at once: an interrupted pass loses no more.
BLOCK = 1024


def reference_log_probs(
    examples: Sequence[Example],
    roles: Sequence[str],
    *,
    model_key: str,
    load_scorer: Callable[[], nn.Module],
    accelerator: Accelerator,
    batch_size: int,
    cache: Path,
    progress: Callable[[int, int], None],
) -> dict[str, Tensor]:
    """Reference log-probabilities by role, each [examples] float32 on the CPU.

    `model_key` names the weights and their precision. The model is loaded only when the folder
    `cache` lacks a value.
    """
    sequences = by_role(examples, roles)
    keys = [sequence_key(sequence) for sequence in sequences]
    folder = cache / hashlib.sha256(model_key.encode()).hexdigest()[:32]
    found = _read(folder) if accelerator.is_main_process else {}
    found = _from_main(found, keys, accelerator)
    missing = {key: one for key, one in zip(keys, sequences, strict=True) if key not in found}
    left = sorted(missing, key=lambda key: _prompt_order(missing[key]))
    scorer = load_scorer() if left else nn.Identity()
    for start in range(0, len(left), BLOCK):
        block = left[start : start + BLOCK]
        values = score_all(
            scorer,
            [missing[key] for key in block],
            accelerator.device,
            batch_size=batch_size,
            share=(accelerator.process_index, accelerator.num_processes),
            progress=partial(_tell, progress, start, len(left)),
        )
        summed = accelerator.reduce(values, reduction="sum").cpu()
        found |= dict(zip(block, summed.tolist(), strict=True))
        if accelerator.is_main_process:
            _write(folder, block, summed)
    result = torch.tensor([found[key] for key in keys], dtype=torch.float32)
    return {role: part.clone() for role, part in split_roles(result, roles, examples).items()}


def sequence_key(sequence: TokenSequence) -> bytes:
    """SHA-256 over the tokens of prompt and completion, their boundary, and what is not trained."""
    digest = hashlib.sha256()
    digest.update(len(sequence.prompt).to_bytes(4, "big"))
    digest.update(len(sequence.completion).to_bytes(4, "big"))
    digest.update(sequence.prompt.tobytes() + sequence.completion.tobytes())
    digest.update(b"" if sequence.context is None else sequence.context.tobytes())
    return digest.digest()


def cache_key(examples: Sequence[Example], roles: Sequence[str], model_key: str) -> str:
    """SHA-256 over the model's key, all tokens in their order, and what is said about them."""
    digest = hashlib.sha256(model_key.encode())
    for example in examples:
        said = (example.target, example.weight, example.margin, example.ranks)
        digest.update(repr(said).encode())
    for role in roles:
        digest.update(role.encode())
        for sequence in by_role(examples, [role]):
            digest.update(sequence_key(sequence))
    return digest.hexdigest()


def _tell(
    progress: Callable[[int, int], None], start: int, total: int, done: int, _block: int
) -> None:
    progress(start + done, total)


def _prompt_order(sequence: TokenSequence) -> tuple[int, bytes]:
    """Completions of one prompt stay together, and a block's batches are of similar length."""
    return len(sequence.prompt), sequence.prompt.tobytes()


def _from_main(
    found: dict[bytes, float], keys: Sequence[bytes], accelerator: Accelerator
) -> dict[bytes, float]:
    """What the main process read: a file may appear between two processes' looks at the folder."""
    values = torch.zeros(2, len(keys), dtype=torch.float64, device=accelerator.device)
    for place, key in enumerate(keys):
        if key in found:
            values[0, place], values[1, place] = 1.0, found[key]
    known, numbers = accelerator.reduce(values, reduction="sum").tolist()
    pairs = zip(keys, known, numbers, strict=True)
    return {key: number for key, is_known, number in pairs if is_known}


def _read(folder: Path) -> dict[bytes, float]:
    found: dict[bytes, float] = {}
    for file in sorted(folder.glob("*.safetensors")):
        try:
            tensors = load_file(file)
        except (OSError, SafetensorError):
            continue  # somebody clears the folder, or a disk lost it: its values are made anew
        keys = tensors["keys"].numpy()
        found |= dict(zip(map(bytes, keys), tensors["values"].tolist(), strict=True))
    return found


def _write(folder: Path, keys: Sequence[bytes], values: Tensor) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = torch.frombuffer(bytearray(b"".join(keys)), dtype=torch.uint8).reshape(len(keys), -1)
    with replace_whole(folder / f"{uuid.uuid4().hex}.safetensors") as temporary:
        save_file({"keys": rows, "values": values.contiguous()}, temporary)
