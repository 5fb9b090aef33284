"""From a snapshot to a model version, and back to new responses."""

from training.models.loop import Loop, Round
from training.models.run import MetricPoint, Sample, TrainingRun
from training.models.version import Evaluation, ModelVersion, Promotion

__all__ = [
    "Evaluation",
    "Loop",
    "MetricPoint",
    "ModelVersion",
    "Promotion",
    "Round",
    "Sample",
    "TrainingRun",
]
