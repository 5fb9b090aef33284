"""Writes of feedback: one operation a function. What other apps call is named here."""

from feedback.services.freeze_snapshot import freeze_snapshot, request_freeze
from feedback.services.resolve_items import resolve_items
from feedback.services.training_files import (
    TrainingFiles,
    training_data_available,
    write_training_files,
)

__all__ = [
    "TrainingFiles",
    "freeze_snapshot",
    "request_freeze",
    "resolve_items",
    "training_data_available",
    "write_training_files",
]
