"""Do they agree, what is accepted, what is frozen."""

from feedback.models.agreement import AgreementReport
from feedback.models.judge import JudgeGate, JudgeReport, JudgeStanding
from feedback.models.policy import Policy
from feedback.models.preference import Adjudication, Preference
from feedback.models.quality import QualityReport
from feedback.models.resolution import Resolution, StaleItem
from feedback.models.snapshot import Export, Snapshot

__all__ = [
    "Adjudication",
    "AgreementReport",
    "Export",
    "JudgeGate",
    "JudgeReport",
    "JudgeStanding",
    "Policy",
    "Preference",
    "QualityReport",
    "Resolution",
    "Snapshot",
    "StaleItem",
]
