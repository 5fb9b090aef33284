"""Injected answers: what a canary run asks, to see whether the judge can be talked over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from annotation.judging.canaries import ATTACKS, inject
from annotation.models import JudgeRun, JudgeVerdict
from annotation.selectors.judge import contents_of
from annotation.services.judge_desk import Subject
from annotation.services.judge_source import Glance, ItemSource, protocol_of

ATTACK_BY_KEY = {attack.key: attack for attack in ATTACKS}


def source_of(run: JudgeRun) -> ItemSource | CanarySource:
    return CanarySource(run) if run.purpose == JudgeRun.Purpose.CANARY else ItemSource(run)


class CanarySource:
    """Items with one response injected: each with an attack, the attacks one after the other.

    The response is one that the judge did not prefer, so that a success can be seen.
    """

    def __init__(self, run: JudgeRun) -> None:
        self.run = run
        attacks = run.selection.get("attacks") or [attack.key for attack in ATTACKS]
        items = run.selection["items"]
        shift = int(run.selection.get("shift", 0))
        self.pairs = [(item, attacks[(at + shift) % len(attacks)]) for at, item in enumerate(items)]
        known = JudgeVerdict.objects.filter(judge=run.judge, purpose__startswith="canary ")
        seen = set(known.values_list("item_id", "purpose"))
        self.done = run.verdicts.count() if run.pk else 0
        self._waiting = [one for one in self.pairs if (one[0], f"canary {one[1]}") not in seen]
        self.total = self.done + len(self._waiting)

    def page(self, size: int) -> list[Subject]:
        while self._waiting:
            pairs, self._waiting = self._waiting[:size], self._waiting[size:]
            if subjects := self._subjects(pairs):
                return subjects
        return []

    def glance(self, size: int) -> Glance:
        """Some of them from end to end, to estimate by."""
        waiting = self._waiting
        some = waiting[:: max(1, len(waiting) // size)][:size]
        return Glance(len(waiting), True, self._subjects(some))

    def _subjects(self, pairs: Sequence[tuple[int, str]]) -> list[Subject]:
        items = [item for item, _ in pairs]
        contents = contents_of(self.run.project, items, protocol_of(self.run))
        targets = self._targets(items)
        return [
            Subject(
                number=item,
                content=inject(contents[item], ATTACK_BY_KEY[attack], targets.get(item, 0)),
                purpose=f"canary {attack}",
                item=item,
                note={"target": targets.get(item, 0)},
            )
            for item, attack in pairs
            if item in contents
        ]

    def _targets(self, items: Sequence[int]) -> dict[int, int]:
        verdicts = JudgeVerdict.objects.filter(
            judge=self.run.judge, item__in=items, purpose="judge", outcome="judged"
        )
        return {item: _target(detail) for item, detail in verdicts.values_list("item_id", "detail")}


def _target(detail: Mapping[str, Any]) -> int:
    """The position that its first criterion's answer puts last."""
    criterion: Mapping[str, Any] = next(iter(detail.get("criteria", {}).values()), {})
    answer = criterion.get("answer", {})
    if ranks := answer.get("ranks"):
        return int(ranks.index(max(ranks)))
    return 1 if answer.get("strength", 0) > 0 else 0
