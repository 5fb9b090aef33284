import json
import math

import numpy as np
import pytest
import torch

from training.alignment.experience import Answer, Experience
from training.alignment.journal import Journal
from training.alignment.rollouts.protocol import Rollout
from training.alignment.watching import (
    Alarm,
    Point,
    append_lines,
    append_samples,
    distinct,
    have_parted,
    kl_metrics,
    points_from,
    rewind_samples,
    rollout_metrics,
)


def tokens(*values):
    return np.array(values, dtype=np.int32)


def answer(place, completion, *, old=-1.0, reference=-1.5, reward=0.0, ended=True):
    count = len(completion)
    rollout = Rollout(
        prompt=tokens(1, 2),
        prompt_text="ask",
        completion=completion,
        text=f"text {place}",
        log_probs=np.full(count, old, np.float32),
        finish_reason="stop" if ended else "length",
        group=0,
    )
    return Answer(
        place=place,
        rollout=rollout,
        old_logps=np.full(count, old, np.float32),
        reference_logps=np.full(count, reference, np.float32),
        old_values=None,
        reward=reward,
        rewards={"helpful": reward, "length": float(count)},
    )


ANSWERS = [
    answer(1, tokens(5, 6), reward=2.0),
    answer(0, tokens(5, 5, 5, 7), reward=1.0, ended=False),
]


def test_answers_stand_in_the_order_of_their_places_whatever_process_wrote_them():
    found = Experience.of(ANSWERS, torch.device("cpu"))
    assert [item.place for item in found.answers] == [0, 1]
    assert found.scores.tolist() == [1.0, 2.0]
    assert found.mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert found.old_logps[1].tolist() == [-1.0, -1.0, 0.0, 0.0]


def test_the_numbers_of_a_rollout():
    found = rollout_metrics(Experience.of(ANSWERS, torch.device("cpu")), 2)
    assert found["reward"] == 1.5
    assert found["reward_std"] == 0.5
    assert found["reward_helpful"] == 1.5
    assert found["reward_length"] == 3.0
    assert found["completion_length"] == 3.0
    assert found["ended_share"] == 0.5
    assert found["entropy"] == 1.0
    assert found["zero_variance_share"] == 0.0
    assert found["sampler_difference"] == 0.0
    assert found["sampler_max_ratio"] == 1.0


def test_kl_is_in_nats_an_answer():
    """Three tokens an answer on average, each half a nat more likely than under the reference."""
    found = kl_metrics(Experience.of(ANSWERS, torch.device("cpu")))
    assert found["kl_k1"] == pytest.approx(3 * 0.5)
    assert found["kl_k2"] == pytest.approx(3 * 0.125)
    assert found["kl_k3"] == pytest.approx(3 * (math.exp(-0.5) - 1 + 0.5))
    assert found["sqrt_kl"] == pytest.approx(math.sqrt(found["kl_k3"]))


def test_distinct_counts_n_grams():
    assert distinct([tokens(1, 1, 2), tokens(1, 2)], 1) == 2 / 5
    assert distinct([tokens(1, 1, 2), tokens(1, 2)], 2) == 2 / 3
    assert distinct([tokens(1)], 2) == 0.0


def curve(trained, watched):
    return [
        Point(0.1 * step, *rewards)
        for step, rewards in enumerate(zip(trained, watched, strict=True))
    ]


def test_rewards_that_rise_together_have_not_parted():
    noise = np.random.default_rng(0).normal(0, 0.3, 40)
    rising = np.linspace(0, 4, 40)
    assert not have_parted(curve(rising, rising + noise))


def test_a_watched_reward_that_falls_while_the_trained_one_rises_has_parted():
    noise = np.random.default_rng(0).normal(0, 0.05, 40)
    rising = np.linspace(0, 4, 40)
    peak = 1 - (np.linspace(-1, 1, 40)) ** 2
    points = curve(rising, peak + noise)
    assert have_parted(points)
    assert not have_parted(points[:20])


def test_rewards_that_fall_together_have_not_parted():
    falling = np.linspace(4, 0, 40)
    assert not have_parted(curve(falling, falling))


@pytest.mark.parametrize("steps", [8, 12, 40, 100])
def test_noise_alone_seldom_rings(steps):
    generator = np.random.default_rng(1)
    rising = np.linspace(0, 1, steps)
    rings = sum(have_parted(curve(rising, generator.normal(size=steps))) for _ in range(500))
    assert rings <= 15


def test_a_few_steps_say_nothing():
    assert not have_parted(curve([0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0]))


def test_the_alarm_is_said_once_and_goes_on_after_a_resume(tmp_path, capsys):
    journal = Journal(tmp_path, active=True)
    alarm = Alarm("helpful", journal)
    for step in range(12):
        values = {"sqrt_kl": 0.1 * step, "kl_k3": 1.0, "reward": float(step)}
        values["reward_helpful"] = float(step if step < 5 else 10 - step)
        alarm.look(values)
        journal.metrics(step + 1, 12, values)
    assert capsys.readouterr().out.count("ALARM: the trained reward rises while helpful falls") == 1
    assert values["rewards_parted"] == 1.0
    assert points_from(journal.metrics_file, "helpful") == alarm.points
    again = Alarm("helpful", journal)
    again.look({"sqrt_kl": 1.2, "kl_k3": 1.0, "reward": 12.0, "reward_helpful": -3.0})
    assert "ALARM" not in capsys.readouterr().out


def test_samples_of_steps_that_will_come_again_are_forgotten(tmp_path):
    for step in (0, 2, 4):
        append_samples(tmp_path, step, ANSWERS)
    path = tmp_path / "step_samples.jsonl"
    with path.open("a") as file:
        file.write('{"step": 1, "cut sho')
    rewind_samples(tmp_path, 4)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 0, 2, 2]
    assert lines[0]["prompt"] == [{"role": "user", "content": "ask"}]


def test_a_sample_is_a_line_whatever_separators_a_model_writes(tmp_path):
    path = tmp_path / "step_samples.jsonl"
    append_lines(tmp_path, [{"step": 0, "text": "one\u2028two\u2029three\x85"}])
    kept = path.read_bytes()
    append_lines(tmp_path, [{"step": 2, "text": "later"}])
    with path.open("ab") as file:
        file.write(b'{"step": 1, "text": "cut \xe2\x80')
    rewind_samples(tmp_path, 2)
    assert path.read_bytes() == kept
