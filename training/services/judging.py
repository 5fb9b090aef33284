"""The worker's side of a run that is rewarded by judges: their money, and the socket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from annotation.models import JudgeRun
from annotation.services.judge_answers import judge_answers, reward_run
from core.errors import PrefloopError
from training.models import TrainingRun
from training.selectors.judge import find_reward_judge, judge_caps, trained_on
from training.services.judge_socket import AnswerToJudge, open_judge_socket


@contextlib.contextmanager
def judges_for(run: TrainingRun) -> Iterator[dict[str, str]]:
    """The environment by which the run's process reaches its judges; empty where it has none."""
    asked = _judge_runs(run)
    if not asked:
        yield {}
        return

    def judging(name: str, answers: Sequence[AnswerToJudge]) -> Sequence[float]:
        if name not in asked:
            raise PrefloopError(f"This run's settings name no judge “{name}”.")
        return judge_answers(
            run=asked[name], answers=[(_turns(one), one.answer) for one in answers]
        )

    with open_judge_socket(judging) as opened:
        yield opened.environment


def _judge_runs(run: TrainingRun) -> dict[str, JudgeRun]:
    """One for each judge, and the same for each attempt: what was spent stays spent."""
    rewarding = trained_on(run.config)
    return {
        name: reward_run(
            project=run.project,
            judge=find_reward_judge(run.project, name, is_trained_on=name in rewarding),
            cap=cap,
            selection={"training_run": run.pk},
            created_by=run.created_by,
        )
        for name, cap in judge_caps(run.config).items()
    }


def _turns(asked: AnswerToJudge) -> list[dict[str, str]]:
    if isinstance(asked.prompt, str):
        return [{"role": "user", "content": asked.prompt}]
    return asked.prompt
