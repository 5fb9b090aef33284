"""Verifiers: functions that check an answer against what its prompt's row says.

A verifier is verify(prompt, answer, facts) -> float, with the prompt as it stands in the data, the
answer's text and the row's further fields. It comes from this module, from an installed package's
entry point in the group `prefloop.verifiers`, or from the operator, who names functions in
PREFLOOP_VERIFIERS ("name=package.module:function", separated by commas). Never from a form.

Those of this module are called in this process. Others may hang: each of their calls has a time
limit, and they run in a process of their own.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import numpy as np

from training.alignment.data import Text
from training.alignment.rewards.protocol import RewardError, Rewards
from training.alignment.rewards.verifier_process import VerifierProcess
from training.alignment.rollouts.protocol import Prompt, Rollout

GROUP = "prefloop.verifiers"
VARIABLE = "PREFLOOP_VERIFIERS"
# No setting can name it: its pattern comes from the source that asks, not from a row.
FULL_MATCH = "full match"

Verifier = Callable[[Text, str, Mapping[str, Any]], float]

# A hyphen after a digit or letter is no sign ("3-5"), and only whole groups of three are thousands
# ("1,2" are two numbers). What stands within a word or a version is no number of its own.
_NUMBER = re.compile(
    r"(?<![^\W_])(?<!\d\.)[-+]?"
    r"(?:(?:\d{1,3}(?:,\d{3}(?!\d))+|\d+)(?:\.\d+)?|(?<!\.)\.\d+)(?:[eE][-+]?\d+)?"
)


class VerifierSource:
    """The reward that a verifier gives, one answer at a time.

    An answer whose call runs out of time gets `timed_out_reward`. `timed_out` [n] has 1 for each
    such answer of the last call; it is None for a verifier without a limit, which must give every
    answer a number: RewardError where it does not.
    """

    def __init__(
        self, verify: Verifier | VerifierProcess, *, name: str, timed_out_reward: float = 0.0
    ) -> None:
        self.name = name
        self.timed_out_reward = timed_out_reward
        self.timed_out: Rewards | None = None
        self._verify = verify

    def __call__(self, rollouts: Sequence[Rollout]) -> Rewards:
        found = [self._verify(item.prompt_text, item.text, item.facts) for item in rollouts]
        if isinstance(self._verify, VerifierProcess):
            self.timed_out = np.array([reward is None for reward in found], dtype=np.float64)
        elif any(reward is None for reward in found):
            raise RewardError(
                f"verifier '{self.name}' returned None in place of a number; its function may lack "
                "a return"
            )
        return np.array(
            [self.timed_out_reward if reward is None else reward for reward in found],
            dtype=np.float64,
        )

    def check_facts(self, prompts: Sequence[Prompt]) -> None:
        """Raises RewardError where a verifier of this module will have nothing to compare with.

        Of the others nobody knows what they make of an answer that nobody gave.
        """
        if self._verify not in _OWN.values():
            return
        found = [(prompt, problem) for prompt in prompts if (problem := self._problem(prompt))]
        if found:
            prompt, problem = found[0]
            raise RewardError(
                f"answers to {len(found)} of {len(prompts)} prompts cannot be verified; of the "
                f"first, {_beginning(prompt.text)!r}, {problem}. Mend these rows or leave them out."
            )

    def _problem(self, prompt: Prompt) -> str | None:
        try:
            self._verify(prompt.text, "", prompt.facts)
        except RewardError as error:
            return str(error)
        return None


def verifier_source(
    verifier: str, *, name: str, time_limit: float, timed_out_reward: float
) -> VerifierSource:
    """The verifier of this name as a source; raises RewardError when it cannot be used."""
    verify = _OWN.get(verifier) or _limited(verifier, time_limit)
    return VerifierSource(verify, name=name, timed_out_reward=timed_out_reward)


def verifier_names() -> list[str]:
    """All verifiers that can be named on this machine; none of them is imported."""
    return sorted({*_OWN, *_installed()})


def needs_answer(name: str) -> bool:
    """Whether the verifier compares with the row's `answer`, as all of this module do."""
    return name in _OWN


def load_verifier(name: str) -> Verifier:
    """The verifier of this name; raises RewardError when there is none or it cannot be imported."""
    if name == FULL_MATCH:
        return full_match
    if name in _OWN:
        return _OWN[name]
    found = _found(name)
    try:
        loaded: Verifier = found.load()
    except (ImportError, AttributeError) as error:
        raise RewardError(f"verifier '{name}' ({found.value}) cannot be loaded: {error}") from error
    return loaded


def exact_answer(_prompt: Text, answer: str, facts: Mapping[str, Any]) -> float:
    """1 where the answer is the row's `answer`, but for white space and case; else 0."""
    return float(_plain(answer) == _plain(_expected(facts)))


def contains_answer(_prompt: Text, answer: str, facts: Mapping[str, Any]) -> float:
    """1 where the row's `answer` occurs in the answer, but for white space and case; else 0.

    Raises RewardError for a blank `answer`, which would occur in every one.
    """
    wanted = _plain(_expected(facts))
    if not wanted:
        raise RewardError("the row's answer is blank, and every answer contains a blank one")
    return float(wanted in _plain(answer))


def final_number(_prompt: Text, answer: str, facts: Mapping[str, Any]) -> float:
    """1 where the last number in the answer equals the last one of the row's `answer`; else 0."""
    wanted, given = _last_number(_expected(facts)), _last_number(answer)
    if wanted is None:
        raise RewardError(f"the row's answer {_expected(facts)!r} holds no number")
    return float(given == wanted)


def full_match(_prompt: Text, answer: str, facts: Mapping[str, Any]) -> float:
    """1 where the whole answer matches the regular expression `pattern`; else 0."""
    return float(re.fullmatch(facts["pattern"], answer, re.DOTALL) is not None)


_OWN: Mapping[str, Verifier] = {
    "exact_answer": exact_answer,
    "contains_answer": contains_answer,
    "final_number": final_number,
}


def _limited(name: str, time_limit: float) -> VerifierProcess:
    _found(name)  # a name that is wrong is told in fewer words than a process takes to start
    return VerifierProcess(name, time_limit=time_limit)


def _found(name: str) -> EntryPoint:
    found = _installed().get(name)
    if found is None:
        raise RewardError(
            f"there is no verifier '{name}'; known are {', '.join(verifier_names())}. Install the "
            f"package that has it, or name it in {VARIABLE}."
        )
    return found


def _installed() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in [*entry_points(group=GROUP), *_operators()]:
        if entry.name in _OWN or found.get(entry.name, entry).value != entry.value:
            raise RewardError(f"two verifiers are called '{entry.name}'")
        found[entry.name] = entry
    return found


def _operators() -> list[EntryPoint]:
    listed = [part.strip() for part in os.environ.get(VARIABLE, "").split(",")]
    entries = []
    for part in filter(None, listed):
        name, equals, target = part.partition("=")
        if not (name and equals and re.fullmatch(r"[\w.]+:[\w.]+", target)):
            raise RewardError(f"{VARIABLE}: '{part}' is not name=package.module:function")
        entries.append(EntryPoint(name, target, GROUP))
    return entries


def _expected(facts: Mapping[str, Any]) -> str:
    if "answer" not in facts:
        raise RewardError("the prompt's row has no field 'answer' to compare with")
    return str(facts["answer"])


def _beginning(text: Text) -> str:
    said = text if isinstance(text, str) else " ".join(str(turn.get("content")) for turn in text)
    return said if len(said) <= 60 else f"{said[:60]}…"


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _last_number(text: str) -> float | None:
    found = _NUMBER.findall(text.replace("\N{MINUS SIGN}", "-"))
    return float(found[-1].replace(",", "")) if found else None
