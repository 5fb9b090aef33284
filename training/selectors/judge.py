"""Judges that can reward a run: those of the project that judge one answer by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from annotation.judging.content import THUMBS
from annotation.judging.protocol import check_spec
from annotation.models import Judge, Project
from annotation.selectors.judge import find_judge, spec_of
from core.errors import PrefloopError
from feedback.selectors.votes import open_judges
from training.alignment.rewards.settings import JudgeOptions, parse_rewards

TRAINED_ON = "reward_sources"
SOURCES = (TRAINED_ON, "watch_sources")


def reward_judges(project: Project) -> list[Judge]:
    """All versions by name, the newest first: a run may be launched again as it was."""
    rows = Judge.objects.filter(project=project, origin=Judge.Origin.CONFIGURED)
    rows = rows.order_by("name", "-version").select_related("model__provider")
    return [judge for judge in rows if not why_no_reward(judge)]


def judge_choices(project: Project) -> list[tuple[str, str]]:
    """Name with version, and title with standing: one with a closed gate can be watched."""
    opened = set(open_judges(project))
    return [
        (
            str(one),
            f"Judge {one} ({'gate open' if one.pk in opened else 'gate closed: watch only'})",
        )
        for one in reward_judges(project)
    ]


def find_reward_judge(project: Project, name: str, *, is_trained_on: bool) -> Judge:
    """`name`, or `name v2`. Raises PrefloopError for one that cannot give rewards, or that is not
    believed: what counts for nothing in the data must not train a model either."""
    try:
        judge = find_judge(project, name)
    except PrefloopError:
        if Judge.objects.filter(name=name, project__isnull=True).exists():
            raise PrefloopError(
                f"The verdicts of “{name}” were imported, and nobody can ask it. Choose a judge "
                "that is configured in this project."
            ) from None
        raise
    if why := why_no_reward(judge):
        raise PrefloopError(f"“{judge}” cannot give rewards: {why}")
    if is_trained_on and judge.pk not in open_judges(project):
        raise PrefloopError(
            f"“{judge}” cannot be trained on: its gate is closed in this project. Its card says "
            "what is missing. Until then it can be watched (watch_sources)."
        )
    return judge


def why_no_reward(judge: Judge) -> str:
    """Empty: it can."""
    if judge.model is None or judge.model.provider.retired_at is not None:
        return "its provider was retired. Make a new version with another model."
    if problems := check_spec(spec_of(judge), THUMBS):
        return (
            f"{' '.join(problems)} A reward is about one answer: make a judge whose protocol "
            "judges each by itself."
        )
    return ""


def judge_caps(config: Mapping[str, Any]) -> dict[str, Decimal]:
    """By the judge's name, what a run may spend on it: sources that share a judge share the sum."""
    caps: dict[str, Decimal] = {}
    for options in _judges(config):
        caps[options.judge] = caps.get(options.judge, Decimal()) + Decimal(str(options.cap))
    return caps


def trained_on(config: Mapping[str, Any]) -> set[str]:
    """The names of the judges whose rewards a run trains on."""
    return {options.judge for options in _judges(config, (TRAINED_ON,))}


def _judges(config: Mapping[str, Any], keys: Sequence[str] = SOURCES) -> Iterator[JudgeOptions]:
    for key in keys:
        for options in parse_rewards(config.get(key) or {}).values():
            if isinstance(options, JudgeOptions):
                yield options
