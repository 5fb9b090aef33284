"""Verifiers that can reward a run: Prefloop's own, and those that the operator has installed."""

from __future__ import annotations

from core.errors import PrefloopError
from training.alignment.rewards.protocol import RewardError
from training.alignment.rewards.verifiers import verifier_names


def known_verifiers() -> list[str]:
    try:
        return verifier_names()
    except RewardError as error:
        raise PrefloopError(f"The operator's list of verifiers is wrong: {error}.") from error


def offered_verifiers() -> list[str]:
    """None while the operator's list is wrong, so that the other rewards can still be chosen."""
    try:
        return known_verifiers()
    except PrefloopError:
        return []
