"""The forms of training. What a run may set comes from the training library's descriptions."""

from training.forms.choice import LaunchChoice, completed_choice
from training.forms.launch import LaunchForm, untouched_values
from training.forms.resume import ResumeForm
from training.forms.version import ConfirmForm, SampleForm

__all__ = [
    "ConfirmForm",
    "LaunchChoice",
    "LaunchForm",
    "ResumeForm",
    "SampleForm",
    "completed_choice",
    "untouched_values",
]
