"""From an exception to one sentence for the person who launched the work."""

import json


class TrainingError(RuntimeError):
    """Training cannot go on; the message is one sentence for the person who launched it."""


def reason(error: Exception) -> str:
    """What happened, why and how to mend it, as far as it is known."""
    text = " ".join(str(error).split())
    if _is_out_of_memory(error, text):
        return (
            "The device ran out of memory: lower batch_size (and raise gradient_accumulation to "
            "keep the step's size), lower max_length, or train a LoRA adapter in bfloat16."
        )
    if isinstance(error, FileNotFoundError):
        return f"A file is missing: {error.filename}."
    if isinstance(error, json.JSONDecodeError):
        return f"The configuration is not valid JSON: {text}."
    if type(error).__module__.startswith("training.alignment"):
        return text
    return f"Failed unexpectedly ({type(error).__name__}: {text[:300]})."


def _is_out_of_memory(error: Exception, text: str) -> bool:
    signs = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(sign in text.lower() for sign in signs)
