"""Who is asked what, and what they answered."""

from annotation.models.annotator import Annotator, Judge, JudgeCall
from annotation.models.content import (
    Generator,
    Prompt,
    PromptBand,
    PromptCluster,
    Response,
    Side,
)
from annotation.models.invitation import Invitation
from annotation.models.item import GoldAnswer, Item, ItemResponse
from annotation.models.judgment import (
    Answer,
    Assignment,
    Draft,
    Flag,
    Judgment,
    JudgmentComment,
    Rewrite,
)
from annotation.models.kinds import Kind
from annotation.models.project import Membership, PauseRule, Project, Protocol

__all__ = [
    "Annotator",
    "Answer",
    "Assignment",
    "Draft",
    "Flag",
    "Generator",
    "GoldAnswer",
    "Invitation",
    "Item",
    "ItemResponse",
    "Judge",
    "JudgeCall",
    "Judgment",
    "JudgmentComment",
    "Kind",
    "Membership",
    "PauseRule",
    "Project",
    "Prompt",
    "PromptBand",
    "PromptCluster",
    "Protocol",
    "Response",
    "Rewrite",
    "Side",
]
