"""Log-probabilities under the reference model: computed once, kept beside the run."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from accelerate import Accelerator
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from training.alignment.files import replace_whole
from training.alignment.scoring import by_role, score_all, split_roles
from training.alignment.tokenization import Example


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

    The cache is keyed by `model_key` (weights and precision) and by every token of every sequence,
    hence also by tokenizer, template and truncation; a stale one is computed anew. The model is
    loaded only when it is needed.
    """
    key = cache_key(examples, roles, model_key)
    found = _read(cache, key)
    # No process may look for the file while the main one is already writing it.
    accelerator.wait_for_everyone()
    if found is not None:
        return found
    values = score_all(
        load_scorer(),
        by_role(examples, roles),
        accelerator.device,
        batch_size=batch_size,
        share=(accelerator.process_index, accelerator.num_processes),
        progress=progress,
    )
    summed = accelerator.reduce(values, reduction="sum").cpu()
    result = {role: part.clone() for role, part in split_roles(summed, roles, examples).items()}
    if accelerator.is_main_process:
        with replace_whole(cache) as temporary:
            save_file(result, temporary, metadata={"key": key})
    return result


def cache_key(examples: Sequence[Example], roles: Sequence[str], model_key: str) -> str:
    """SHA-256 over the model's key and all tokens in their order."""
    digest = hashlib.sha256(model_key.encode())
    for role in roles:
        digest.update(role.encode())
        for sequence in by_role(examples, [role]):
            digest.update(len(sequence.prompt).to_bytes(4, "big"))
            digest.update(len(sequence.completion).to_bytes(4, "big"))
            digest.update(sequence.prompt.tobytes() + sequence.completion.tobytes())
            digest.update(b"" if sequence.context is None else sequence.context.tobytes())
    return digest.hexdigest()


def _read(cache: Path, key: str) -> dict[str, Tensor] | None:
    if not cache.exists():
        return None
    with safe_open(cache, framework="pt") as file:
        if file.metadata().get("key") != key:
            return None
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
