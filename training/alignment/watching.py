"""What is watched while a policy is trained against a reward: its numbers, and when to worry."""

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from training.alignment.advantages import explained_variance, zero_variance_share
from training.alignment.data import Text
from training.alignment.experience import Answer, Experience
from training.alignment.files import replace_whole
from training.alignment.journal import Journal
from training.alignment.kl import kl_estimates
from training.alignment.tokenization import Tokens

SAMPLES_FILE = "step_samples.jsonl"
# Steps on each side of a comparison; fewer say nothing.
_SMALLEST_WINDOW = 4


class Point(NamedTuple):
    """One step: sqrt(KL) to the reference, the trained reward and the watched one."""

    distance: float
    trained: float
    watched: float


def kl_metrics(experience: Experience) -> dict[str, float]:
    """KL(policy || reference) in nats an answer, by three estimators, and sqrt(k3)."""
    estimates = kl_estimates(experience.old_logps, experience.reference_logps)
    values = {
        f"kl_{name}": _per_answer(value, experience.mask)
        for name, value in estimates._asdict().items()
    }
    return values | {"sqrt_kl": math.sqrt(max(values["kl_k3"], 0.0))}


def rollout_metrics(experience: Experience, per_prompt: int) -> dict[str, float]:
    """Rewards by source, KL, entropy, length, diversity and how far sampler and trainer differ."""
    answers, mask = experience.answers, experience.mask
    difference = (experience.old_logps - experience.sampler_logps)[mask]
    lengths = mask.sum(dim=1).double()
    values = {
        "reward": float(experience.scores.double().mean()),
        "reward_std": float(experience.scores.double().std(unbiased=False)),
        **{f"reward_{name}": _mean(answers, name) for name in answers[0].rewards},
        **kl_metrics(experience),
        "entropy": float(-experience.old_logps[mask].double().mean()),
        "completion_length": float(lengths.mean()),
        "ended_share": float(experience.ended.double().mean()),
        "distinct_1": distinct([answer.rollout.completion for answer in answers], 1),
        "distinct_2": distinct([answer.rollout.completion for answer in answers], 2),
        "sampler_difference": float(difference.abs().mean()),
        "sampler_max_ratio": float(difference.abs().max().exp()),
    }
    if per_prompt > 1:
        values["zero_variance_share"] = zero_variance_share(experience.scores, per_prompt)
    return values


def value_metrics(experience: Experience, returns: Tensor | None) -> dict[str, float]:
    """How much of the returns the value model explained before this step's updates."""
    if experience.old_values is None or returns is None:
        return {}
    explained = explained_variance(experience.old_values, returns, experience.mask)
    return {"explained_variance": explained}


def distinct(completions: Sequence[Tokens], n: int) -> float:
    """Different n-grams of tokens over all n-grams (Li et al. 2016, arXiv 1510.03055)."""
    grams = [
        tuple(completion[start : start + n].tolist())
        for completion in completions
        for start in range(len(completion) - n + 1)
    ]
    return len(set(grams)) / len(grams) if grams else 0.0


def have_parted(points: Sequence[Point]) -> bool:
    """Whether the watched reward fell from its best while the trained one went on rising.

    The alarm of over-optimisation (Bai et al. 2022, arXiv 2204.05862, section 4.2; Gao et al. 2022,
    arXiv 2210.10760): the window of steps at which the watched reward was best is compared with
    the last one. It fell when the difference of means exceeds three standard errors, the noise
    being measured from step to step so that a trend does not count as noise. A window is a fifth of
    the steps, four at least. Of runs whose watched reward is noise alone, 1 in 50 rings at a look.
    """
    window = max(_SMALLEST_WINDOW, len(points) // 5)
    if len(points) < 2 * window:
        return False
    watched = np.array([point.watched for point in points])
    trained = np.array([point.trained for point in points])
    means = np.convolve(watched, np.ones(window) / window, mode="valid")
    best = int(means[:-window].argmax()) if len(means) > window else 0
    noise = math.sqrt(float(np.mean(np.diff(watched) ** 2)) / 2.0)
    fell = means[best] - means[-1] > max(3.0 * noise * math.sqrt(2.0 / window), 1e-12)
    return bool(fell and trained[-window:].mean() > trained[best : best + window].mean())


def points_from(metrics_file: Path, test_reward: str) -> list[Point]:
    """The points of the steps so far, as the journal tells them."""
    if not metrics_file.exists():
        return []
    rows = (json.loads(line)["metrics"] for line in metrics_file.read_text("utf-8").splitlines())
    watched = f"reward_{test_reward}"
    return [
        Point(row["sqrt_kl"], row["reward"], row[watched])
        for row in rows
        if "sqrt_kl" in row and watched in row
    ]


class Clock:
    """Seconds of each beat of a step, and of the whole."""

    def __init__(self) -> None:
        self.began = self.last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """What went by since the last lap belongs to `name`."""
        now = time.perf_counter()
        self.laps[f"seconds_{name}"] = now - self.last
        self.laps["seconds_per_step"] = now - self.began
        self.last = now


class Alarm:
    """The alarm for a trained and a watched reward that part."""

    def __init__(self, test_reward: str | None, journal: Journal) -> None:
        self.test_reward, self.journal = test_reward, journal
        self.points = points_from(journal.metrics_file, test_reward) if test_reward else []
        self.rang = have_parted(self.points)

    def look(self, values: dict[str, float]) -> None:
        """Add this step's point, put `rewards_parted` into its values, and say so once."""
        if self.test_reward is None:
            return
        watched = values[f"reward_{self.test_reward}"]
        self.points.append(Point(values["sqrt_kl"], values["reward"], watched))
        parted = have_parted(self.points)
        values["rewards_parted"] = float(parted)
        if parted and not self.rang:
            self.journal.say(
                f"ALARM: the trained reward rises while {self.test_reward} falls, at a KL of "
                f"{values['kl_k3']:.3g} nats an answer. The policy exploits the reward model: stop "
                "here, or raise the KL coefficient."
            )
        self.rang = parted


def append_samples(folder: Path, step: int, answers: Sequence[Answer]) -> None:
    """Add one line an answer to step_samples.jsonl: the same prompts again and again."""
    append_lines(folder, [_sample(step, answer) for answer in answers])


def append_lines(folder: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Add to step_samples.jsonl; a reader never sees half of a line that ends with a newline."""
    with (folder / SAMPLES_FILE).open("a", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def rewind_samples(folder: Path, step: int) -> None:
    """Forget what a resumed run will write again."""
    path = folder / SAMPLES_FILE
    if path.exists():
        # Bytes, because text would also be split at U+2028 and its like, which models do write.
        lines = path.read_bytes().splitlines(keepends=True)
        with replace_whole(path) as temporary:
            temporary.write_bytes(b"".join(line for line in lines if _is_before(line, step)))


def _sample(step: int, answer: Answer) -> Mapping[str, Any]:
    rollout = answer.rollout
    return {
        "step": step,
        "position": answer.place,
        "prompt": as_messages(rollout.prompt_text),
        "text": rollout.text,
        "reward": answer.reward,
        "tokens": len(rollout.completion),
        "kl": float(np.sum(answer.old_logps - answer.reference_logps)),
        "ended": float(answer.ended),
        **{f"reward_{name}": reward for name, reward in answer.rewards.items()},
    }


def as_messages(prompt: Text) -> list[dict[str, Any]]:
    """The prompt as who reads it side by side expects it."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def _is_before(line: bytes, step: int) -> bool:
    try:
        return bool(line.endswith(b"\n") and json.loads(line)["step"] < step)
    except json.JSONDecodeError:  # a crash cut the line short
        return False


def _per_answer(values: Tensor, mask: Tensor) -> float:
    return float(values.masked_fill(~mask, 0.0).sum(dim=1).double().mean())


def _mean(answers: Sequence[Answer], name: str) -> float:
    return float(np.mean([answer.rewards[name] for answer in answers]))
