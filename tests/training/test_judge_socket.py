"""A run asks a judge over a real socket: training's client and the worker's server."""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.errors import PrefloopError
from tests.training.alignment.rewards.rollouts import rollout
from training.alignment.rewards.judge import JudgeSource
from training.alignment.rewards.protocol import RewardError
from training.services import judge_socket
from training.services.judge_socket import AnswerToJudge, open_judge_socket

ANSWERS = [rollout("a"), rollout("bcd", "so?")]


def by_length(_judge, answers):
    return [len(item.answer) for item in answers]


def source(opened, **options):
    return JudgeSource("kind judge", path=opened.path, token=opened.token, **options)


def test_a_run_gets_the_judges_rewards():
    asked = []

    def judging(judge, answers):
        asked.append((judge, list(answers)))
        return by_length(judge, answers)

    with open_judge_socket(judging) as opened:
        ask = source(opened)
        assert list(ask(ANSWERS)) == [1.0, 3.0]
        assert list(ask(ANSWERS[1:])) == [3.0]
    judge, answers = asked[0]
    assert judge == "kind judge"
    assert answers[1] == AnswerToJudge([{"role": "user", "content": "so?"}], "bcd")


def test_another_process_finds_the_socket_by_its_environment():
    script = (
        "from tests.training.alignment.rewards.rollouts import rollout\n"
        "from training.alignment.rewards.judge import JudgeSource\n"
        "print(JudgeSource('j')([rollout('four')]).tolist())"
    )
    with open_judge_socket(by_length) as opened:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **opened.environment},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.strip() == "[4.0]"


def test_only_the_runs_own_token_opens_it():
    def judging(_judge, _answers):
        raise AssertionError("asked without the token")

    with open_judge_socket(judging) as opened:
        stranger = JudgeSource("j", path=opened.path, token="guessed")
        with pytest.raises(RewardError, match="token is not this run's"):
            stranger(ANSWERS)
        assert stat.S_IMODE(Path(opened.path).parent.stat().st_mode) == 0o700
    with open_judge_socket(by_length) as first, open_judge_socket(by_length) as second:
        crossed = JudgeSource("j", path=first.path, token=second.token)
        with pytest.raises(RewardError, match="token is not this run's"):
            crossed(ANSWERS)


def test_the_judges_words_reach_the_run():
    def judging(_judge, _answers):
        raise PrefloopError("The budget of this judge is spent.")

    with (
        open_judge_socket(judging) as opened,
        pytest.raises(RewardError, match="budget of this judge is spent"),
    ):
        source(opened)(ANSWERS)


def test_a_judge_that_breaks_tells_the_run_no_more_than_that():
    def judging(_judge, _answers):
        raise ZeroDivisionError("the password is 123")

    with (
        open_judge_socket(judging) as opened,
        pytest.raises(RewardError, match="judge failed; the worker's log") as raised,
    ):
        source(opened)(ANSWERS)
    assert "password" not in str(raised.value)


def test_every_answer_must_be_judged():
    with (
        open_judge_socket(lambda _judge, _answers: [1.0]) as opened,
        pytest.raises(RewardError, match="did not judge every answer"),
    ):
        source(opened)(ANSWERS)


def test_a_slow_judge_is_waited_for_while_the_worker_shows_life(monkeypatch):
    monkeypatch.setattr(judge_socket, "BEAT_SECONDS", 0.05)
    held = threading.Event()

    def judging(judge, answers):
        held.wait(3.0)
        return by_length(judge, answers)

    with open_judge_socket(judging) as opened:
        assert list(source(opened, patience=2.0)(ANSWERS)) == [1.0, 3.0]


def test_a_worker_that_is_gone_is_an_error():
    with open_judge_socket(by_length) as opened:
        ask = source(opened)
    assert not Path(opened.path).exists()
    with pytest.raises(RewardError, match="does not answer on its socket"):
        ask(ANSWERS)


@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",
        b"[]\n",
        b"{}\n",
        b'{"token": "t", "judge": "j", "answers": [{"prompt": "p"}]}\n',
        b'{"token": "t", "judge": "j", "answers": [{"prompt": 3, "answer": "a"}]}\n',
        b'{"token": "t", "judge": "j", "answers": 3}\n',
    ],
)
def test_what_is_not_of_the_protocol_is_refused(line):
    with open_judge_socket(by_length) as opened, socket.socket(socket.AF_UNIX) as connection:
        connection.connect(opened.path)
        connection.sendall(line)
        reply = json.loads(connection.makefile().readline())
    assert "not of the judge socket's protocol" in reply["error"]


def test_a_client_that_goes_away_does_no_harm():
    with open_judge_socket(by_length) as opened:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(opened.path)
        assert list(source(opened)(ANSWERS)) == [1.0, 3.0]


def test_without_a_worker_a_judge_is_refused_at_once():
    with pytest.raises(RewardError, match="launch the run from the application"):
        JudgeSource("j")
