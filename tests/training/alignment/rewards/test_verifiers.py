import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from tests.training.alignment import tiny
from tests.training.alignment.rewards.rollouts import rollout
from training.alignment.rewards.build import build_rewards
from training.alignment.rewards.protocol import RewardError
from training.alignment.rewards.verifier_process import VerifierProcess
from training.alignment.rewards.verifiers import VerifierSource, load_verifier, verifier_names


def rewards(name, answers, **facts):
    source = VerifierSource(load_verifier(name), name=name)
    return list(source([rollout(text, **facts) for text in answers]))


def test_exact_answer_looks_past_white_space_and_case():
    answers = [" New  York\n", "new york", "in New York", ""]
    assert rewards("exact_answer", answers, answer="New York") == [1, 1, 0, 0]


def test_contains_answer():
    assert rewards("contains_answer", ["in new york.", "York"], answer="New York") == [1, 0]


def test_final_number_compares_the_last_numbers():
    answers = ["2 + 2 = 4", "4, not 5", "It is 1,234.50.", "four", "-4"]
    assert rewards("final_number", answers, answer="#### 4") == [1, 0, 0, 0, 0]
    assert rewards("final_number", ["It is 1,234.50."], answer=1234.5) == [1]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3-5", 5),
        ("1,2", 2),
        ("1,2345", 2345),
        ("1,234,567", 1234567),
        ("between 2024,100", 100),
        ("-5", -5),
        ("x = -5", -5),
        ("x = \N{MINUS SIGN}5", -5),
        ("$5.", 5),
        ("__5__", 5),
        ("so...5", 5),
        (".5", 0.5),
        ("1.5e3", 1500),
        ("7, see H2O and v1.5", 7),
    ],
)
def test_final_number_reads_numbers_as_people_write_them(text, number):
    assert rewards("final_number", [text], answer=number) == [1]


def test_a_function_without_a_return_is_named_and_gives_no_reward():
    """None is the verdict of a process that took too long; a function in this one is never late."""

    def forgetful(prompt, answer, facts):
        len(answer)

    source = VerifierSource(forgetful, name="own", timed_out_reward=-1.0)
    with pytest.raises(RewardError, match="verifier 'own' returned None in place of a number"):
        source([rollout("a")])


@pytest.mark.parametrize("blank", ["", " \n"])
def test_a_blank_answer_cannot_be_looked_for(blank):
    with pytest.raises(RewardError, match="the row's answer is blank"):
        rewards("contains_answer", ["anything"], answer=blank)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with a verifier, as pip would have left it."""
    (tmp_path / "shouting_verifier.py").write_text(
        "import os, signal, subprocess, time\n"
        "from multiprocessing import get_context\n"
        "from pathlib import Path\n"
        "if Path(__file__).with_name('interrupt').exists():\n"
        "    os.kill(os.getppid(), signal.SIGUSR1)\n"
        "    time.sleep(1)\n"
        "def verify(prompt, answer, facts):\n"
        "    return float(answer.isupper()) + len(prompt) + facts['bonus']\n"
        "def hang(prompt, answer, facts):\n"
        "    while answer == 'hang': pass\n"
        "    return 1.0 / len(answer)\n"
        "def leave(prompt, answer, facts):\n"
        "    os._exit(3)\n"
        "def sleep(prompt, answer, facts):\n"
        "    sleeper = subprocess.Popen(['sleep', '300'])\n"
        "    Path(facts['file']).write_text(str(sleeper.pid))\n"
        "    sleeper.wait()\n"
        "def doze(pipe):\n"
        "    pipe.send(0)\n"
        "    time.sleep(300)\n"
        "def terminate(prompt, answer, facts):\n"
        "    sleeper = subprocess.Popen(['sleep', '300'])\n"
        "    sleeper.terminate()\n"
        "    ours, theirs = get_context('fork').Pipe()\n"
        "    forked = get_context('fork').Process(target=doze, args=(theirs,))\n"
        "    forked.start()\n"
        "    ours.recv()\n"
        "    forked.terminate()\n"
        "    forked.join()\n"
        "    return sleeper.wait() + forked.exitcode / 100\n"
        "def python_path(prompt, answer, facts):\n"
        "    return float(os.environ['PYTHONPATH'] == facts['own'])\n"
    )
    info = tmp_path / "shouting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[prefloop.verifiers]\nshouts = shouting_verifier:verify\nbroken = shouting_verifier:gone\n"
        "hangs = shouting_verifier:hang\nleaves = shouting_verifier:leave\n"
        "sleeps = shouting_verifier:sleep\nends = shouting_verifier:terminate\n"
        "has_own_path = shouting_verifier:python_path\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("shouting_verifier", None)


def test_an_installed_package_brings_a_verifier(installed):
    assert {"shouts", "exact_answer"} <= set(verifier_names())
    assert rewards("shouts", ["YES", "no"], bonus=0.5) == [2.5, 1.5]


def test_naming_verifiers_imports_none(installed):
    verifier_names()
    assert "shouting_verifier" not in sys.modules


def test_a_verifier_that_cannot_be_loaded_is_named(installed):
    with pytest.raises(RewardError, match=r"'broken' .* cannot be loaded"):
        load_verifier("broken")


def test_the_operator_names_a_verifier(monkeypatch):
    monkeypatch.setenv("PREFLOOP_VERIFIERS", "same=operator:itemgetter")
    found: Any = load_verifier("same")
    assert found is operator.itemgetter


@pytest.mark.parametrize("text", ["os.system", "a=b", "a=b:c d", "=x:y", "a=os:system()"])
def test_the_operators_list_must_name_functions(monkeypatch, text):
    monkeypatch.setenv("PREFLOOP_VERIFIERS", text)
    with pytest.raises(RewardError, match=r"is not name=package\.module:function"):
        load_verifier("a")


def test_a_name_is_taken_once(installed, monkeypatch):
    monkeypatch.setenv("PREFLOOP_VERIFIERS", "shouts=operator:truth")
    with pytest.raises(RewardError, match="two verifiers are called 'shouts'"):
        load_verifier("shouts")


@pytest.mark.parametrize("name", ["nobody", "os:system", "shouting_verifier:verify"])
def test_a_dotted_path_is_no_name(installed, name):
    with pytest.raises(RewardError, match="there is no verifier"):
        load_verifier(name)


def test_a_row_without_an_answer_says_so():
    with pytest.raises(RewardError, match="no field 'answer'"):
        rewards("exact_answer", ["x"])
    with pytest.raises(RewardError, match="holds no number"):
        rewards("final_number", ["4"], answer="four")


def limited(name, **settings):
    settings = {"kind": "verifier", "verifier": name, **settings}
    return build_rewards(
        {"check": settings},
        tokenizer=tiny.byte_tokenizer(),
        device=torch.device("cpu"),
    )


def test_a_verifier_that_hangs_costs_its_answer_alone(installed):
    composed = limited("hangs", time_limit=3.0, timed_out_reward=-1.0)
    answers = [rollout(text) for text in ("a", "hang", "ab")]
    scores = composed.score(answers)
    assert scores.total.tolist() == [1.0, -1.0, 0.5]
    assert scores.parts["check_timed_out"].tolist() == [0, 1, 0]
    assert composed.score(answers[:1]).parts["check_timed_out"].tolist() == [0]


def test_an_installed_verifier_gives_what_it_gives_here(installed):
    answers = [rollout(text, bonus=0.5) for text in ("YES", "no")]
    assert limited("shouts").score(answers).total.tolist() == [2.5, 1.5]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("hangs", "", "'check': verifier 'hangs' failed with ZeroDivisionError"),
        ("leaves", "a", "'check': verifier 'leaves' ended its process with exit status 3"),
    ],
)
def test_a_verifier_that_fails_is_named(installed, name, text, words):
    with pytest.raises(RewardError, match=words):
        limited(name).score([rollout(text)])


def test_an_installed_verifier_that_cannot_be_loaded_is_named_at_the_start(installed):
    with pytest.raises(RewardError, match=r"'check': verifier 'broken' .* cannot be loaded"):
        limited("broken")


def wait_for(reached):
    for _ in range(600):
        if reached():
            return
        time.sleep(0.1)
    pytest.fail("waited a minute in vain")


def is_over(pid):
    """A container may have nobody that reaps what has ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_what_a_verifier_started_ends_with_it(installed):
    file = installed / "pid"
    composed = limited("sleeps", time_limit=2.0)
    assert composed.score([rollout("a", file=str(file))]).total.tolist() == [0.0]
    wait_for(lambda: is_over(int(file.read_text())))


def test_what_a_verifier_started_ends_with_a_killed_run(installed):
    file = installed / "pid"
    call = f"VerifierProcess('sleeps', time_limit=300)('', '', {{'file': {str(file)!r}}})"
    code = f"from {VerifierProcess.__module__} import VerifierProcess; {call}"
    path = os.pathsep.join([str(installed), str(Path.cwd())])
    run = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path})
    try:
        wait_for(lambda: file.exists() and file.read_text())
    finally:
        run.kill()
        run.wait()
    wait_for(lambda: is_over(int(file.read_text())))


def test_what_a_verifier_starts_can_be_terminated(installed):
    verify = VerifierProcess("ends", time_limit=60.0)
    assert verify("", "", {}) == pytest.approx(-15.15)
    verify.close()


def test_what_a_verifier_starts_has_the_runs_own_environment(installed, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "own")
    verify = VerifierProcess("has_own_path", time_limit=60.0)
    assert verify("", "", {"own": "own"}) == 1.0
    verify.close()


def test_an_interrupted_restart_leaves_no_answer_behind(installed):
    def interrupt(*_):
        raise KeyboardInterrupt

    verify = VerifierProcess("hangs", time_limit=60.0)
    verify.close()
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        (installed / "interrupt").touch()
        with pytest.raises(KeyboardInterrupt):
            verify("", "a", {})
    finally:
        signal.signal(signal.SIGUSR1, before)
    (installed / "interrupt").unlink()
    assert verify("", "ab", {}) == 0.5
    verify.close()
