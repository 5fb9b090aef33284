"""From a snapshot to a model version, and back to new responses."""

from training.models.loop import Loop, Round
from training.models.recipe import Recipe, RecipeStep
from training.models.run import MetricPoint, Sample, StepSample, Sweep, TrainingRun
from training.models.version import Evaluation, ModelVersion, Promotion

__all__ = [
    "Evaluation",
    "Loop",
    "MetricPoint",
    "ModelVersion",
    "Promotion",
    "Recipe",
    "RecipeStep",
    "Round",
    "Sample",
    "StepSample",
    "Sweep",
    "TrainingRun",
]
