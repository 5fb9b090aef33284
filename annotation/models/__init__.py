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
from annotation.models.item import GoldAnswer, Item, ItemResponse
from annotation.models.judgment import Answer, Assignment, Judgment, JudgmentComment
from annotation.models.kinds import Kind
from annotation.models.project import Membership, Project, Protocol

__all__ = [
    "Annotator",
    "Answer",
    "Assignment",
    "Generator",
    "GoldAnswer",
    "Item",
    "ItemResponse",
    "Judge",
    "JudgeCall",
    "Judgment",
    "JudgmentComment",
    "Kind",
    "Membership",
    "Project",
    "Prompt",
    "PromptBand",
    "PromptCluster",
    "Protocol",
    "Response",
    "Side",
]
