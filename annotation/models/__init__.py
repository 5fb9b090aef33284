"""Who is asked what, and what they answered."""

from annotation.models.annotator import Annotator
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
from annotation.models.judge import (
    Judge,
    JudgeCall,
    JudgeRun,
    JudgeTemplate,
    JudgeVerdict,
    ProjectJudge,
)
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
from annotation.models.provider import Price, Provider, ProviderModel, ProviderState

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
    "JudgeRun",
    "JudgeTemplate",
    "JudgeVerdict",
    "Judgment",
    "JudgmentComment",
    "Kind",
    "Membership",
    "PauseRule",
    "Price",
    "Project",
    "ProjectJudge",
    "Prompt",
    "PromptBand",
    "PromptCluster",
    "Protocol",
    "Provider",
    "ProviderModel",
    "ProviderState",
    "Response",
    "Rewrite",
    "Side",
]
