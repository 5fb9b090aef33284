"""What every app stands on: people, tokens, secrets, jobs and the audit trail."""

from core.models.audit import AuditEvent
from core.models.job import Job
from core.models.secret import Secret
from core.models.session import Session
from core.models.user import ApiToken, User

__all__ = ["ApiToken", "AuditEvent", "Job", "Secret", "Session", "User"]
