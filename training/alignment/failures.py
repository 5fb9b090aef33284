"""From an exception to a sentence for the person who launched the work."""

from training.alignment.config import TrainingConfig
from training.alignment.methods import get_method


class TrainingError(RuntimeError):
    """Training cannot go on; the message is one sentence for the person who launched it."""


def reason(error: Exception, config: TrainingConfig | None = None) -> str:
    """What happened, why and how to mend it, as far as it is known."""
    # Our own may tell of several rows, each on a line.
    lines = [" ".join(line.split()) for line in str(error).splitlines()]
    text = " ".join(filter(None, lines))
    if _is_out_of_memory(error, text):
        return f"The device ran out of memory: {memory_advice(config)}."
    if isinstance(error, FileNotFoundError):
        return f"A file is missing: {error.filename}."
    if type(error).__module__.startswith("training.alignment"):
        return "\n".join(filter(None, lines))
    return f"Failed unexpectedly ({type(error).__name__}: {text[:300]})."


def memory_advice(config: TrainingConfig | None) -> str:
    """What to change so that a run needs less memory, what costs least first."""
    if config is None:
        return "lower batch_size and max_length, or train a LoRA adapter in bfloat16"
    online = get_method(config.method).loop == "online"
    ways = [
        (config.batch_size > 1, _smaller_batches(config, online=online)),
        (not config.gradient_checkpointing, "turn gradient_checkpointing on"),
        (config.dtype == "float32", "compute in bfloat16"),
        (config.adapter == "full", "train a LoRA adapter instead of all weights"),
        (
            config.adapter == "full" and config.optimizer == "adamw",
            "choose the optimizer adafactor",
        ),
        (True, _shorter_texts(config, online=online)),
        (True, "take a smaller model"),
    ]
    return "; or ".join(words for applies, words in ways if applies)


def _smaller_batches(config: TrainingConfig, *, online: bool) -> str:
    """Both loops weigh a step's micro-batches so that it stays the step it was."""
    half, more = config.batch_size // 2, config.gradient_accumulation * 2
    less = f"lower batch_size from {config.batch_size} to {half}"
    # Online, prompts_per_step says how much a step has.
    if not online:
        less += f" and raise gradient_accumulation from {config.gradient_accumulation} to {more}"
    return f"{less}, which trains the same steps"


def _shorter_texts(config: TrainingConfig, *, online: bool) -> str:
    if not online:
        return f"lower max_length from {config.max_length} (data_report.json tells the lengths)"
    return (
        f"lower max_new_tokens from {config.max_new_tokens}; or lower prompts_per_step from "
        f"{config.prompts_per_step}, so that fewer answers are sampled at once"
    )


def _is_out_of_memory(error: Exception, text: str) -> bool:
    signs = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(sign in text.lower() for sign in signs)
