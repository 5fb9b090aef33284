"""Writes of training: one operation a function."""

from training.services.base_model import request_base_model
from training.services.promotion import promote_version, roll_back
from training.services.recipe import resume_recipe, start_recipe, stop_recipe
from training.services.run import cancel_run, queue_run, resume_run
from training.services.sampling import request_base_samples, request_samples
from training.services.sweep import queue_sweep, resume_sweep, stop_sweep

__all__ = [
    "cancel_run",
    "promote_version",
    "queue_run",
    "queue_sweep",
    "request_base_model",
    "request_base_samples",
    "request_samples",
    "resume_recipe",
    "resume_run",
    "resume_sweep",
    "roll_back",
    "start_recipe",
    "stop_recipe",
    "stop_sweep",
]
