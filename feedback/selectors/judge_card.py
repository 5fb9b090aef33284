"""A judge's evidence: one for each kind and criterion that it has answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import numpy as np

from annotation.models import Annotator, Judge, Kind, Project
from feedback.models import Policy
from feedback.selectors.judge_rows import (
    CANARY,
    JUDGE,
    REPEAT,
    Asked,
    Given,
    Texts,
    Verdicted,
    accepted_without_judges,
    best_standing,
    family_of,
    has_orders,
    ids,
    soft_labels,
    standing_of,
    tags_of,
    texts_of,
)
from feedback.selectors.votes import Votes, load_votes, voted_kinds
from feedback.statistics.arrays import Booleans, Floats, Integers
from feedback.statistics.ballots import Kind as StatisticsKind
from feedback.statistics.bootstrap import MINIMUM_CLUSTERS
from feedback.statistics.judge_evidence import (
    Attacks,
    Chains,
    Evidence,
    Marks,
    Repeats,
    signs_by_pair,
)
from feedback.statistics.raters import pair_signs
from feedback.tags import tag_names

# Tags that are compared apart; the most frequent ones.
MOST_SLICES = 12
# Single verdicts that become arrays at a time: as rows of their own they take ten times the room.
AT_ONCE = 10_000
LENGTHS = ("shortest third of the responses", "middle third", "longest third of the responses")


@dataclass(frozen=True)
class Part:
    """All votes of a project for one kind and criterion: read once, for all judges."""

    kind: str
    criterion: str
    votes: Votes
    tags: Mapping[int, Mapping[str, Any]]


def parts_of(project: Project, policy: Policy) -> Iterator[Part]:
    """Whom the policy leaves out is left out among people; a judge is measured all the same."""
    tags = tags_of(project)
    for kind, criterion in voted_kinds(project):
        votes = load_votes(project, kind, criterion, every_judge=True)
        left_out = [int(key) for key, weight in policy.weights.items() if weight == 0]
        kept = votes.is_judge | ~np.isin(votes.annotator, left_out)
        yield Part(kind, criterion, votes.only(kept), tags)


def evidence_of(part: Part, project: Project, judge: Judge) -> Evidence | None:
    """None where the judge has answered nothing of it."""
    annotator = Annotator.objects.filter(judge=judge).values_list("pk", flat=True).first()
    mine = part.votes.is_judge & (part.votes.annotator == annotator)
    if not mine.any():
        return None
    beside = ~part.votes.is_judge & np.isin(part.votes.item, part.votes.item[mine])
    return _Gathered.of(part, project, judge, part.votes.only(mine | beside)).evidence()


@dataclass(frozen=True)
class _Gathered:
    """One judge's answers with people's on the same items; `items` are ids by unit index."""

    part: Part
    project: Project
    judge: Judge
    votes: Votes
    items: Integers
    prompts: Integers
    # Of the votes' table against the canonical order [items].
    direction: Floats
    longest: int

    @classmethod
    def of(cls, part: Part, project: Project, judge: Judge, votes: Votes) -> _Gathered:
        items, first = np.unique(votes.item, return_index=True)
        is_list = part.kind == Kind.LISTWISE
        direction = np.ones(len(items)) if is_list else votes.directions()[first]
        longest = votes.value.shape[1] if is_list else 2
        return cls(part, project, judge, votes, items, votes.prompt[first], direction, longest)

    def evidence(self) -> Evidence:
        table, _ = self.votes.table()
        is_thumbs = self.part.kind == Kind.THUMBS
        texts = texts_of(self.items, 1 if is_thumbs else self.longest, family_of(self.judge))
        attacks, names = self._attacks()
        return Evidence(
            kind=cast("StatisticsKind", self.part.kind),
            votes=table,
            longer=Marks() if is_thumbs else self._marks(-texts.length),
            own=Marks() if is_thumbs else self._marks(-texts.own),
            accepted=self._accepted(),
            soft=self._soft(),
            has_orders=has_orders(self.judge),
            chains=self._chains(),
            repeats=self._repeats(),
            attacks=attacks,
            attack_names=names,
            slices=self._by_tag() or self._by_length(texts),
        )

    def _marks(self, ranks: Floats) -> Marks:
        """The lower preferred, in the orientation of the votes."""
        marks = signs_by_pair(np.arange(len(ranks)), ranks)
        if self.part.kind != Kind.PAIRWISE:
            return marks
        return Marks(marks.key, marks.value * self.direction[marks.key])

    def _units(self, items: Integers) -> tuple[Integers, Booleans]:
        """Unit indices of item ids, and which of the ids are known."""
        if not len(self.items):
            return items, np.zeros(len(items), dtype=np.bool_)
        place = np.searchsorted(self.items, items).clip(max=len(self.items) - 1)
        return place.astype(np.int64), np.asarray(self.items[place] == items)

    def _accepted(self) -> Marks:
        kind, rows = self.part.kind, []
        for row in accepted_without_judges(self.project, kind, self.part.criterion):
            outcome = row["outcome"]
            ranks = outcome.get("ranks") or [-outcome.get("strength", 0), 0]
            rows.append((row["item"], [outcome["thumb"]] if "thumb" in outcome else ranks))
        unit, known = self._units(ids([item for item, _ in rows]))
        order = [place for place in np.argsort(unit, kind="stable").tolist() if known[place]]
        values = _padded([rows[place][1] for place in order], self.longest)
        if kind == Kind.THUMBS:
            return Marks(unit[order], values[:, 0])
        found = signs_by_pair(unit[order], values)
        if kind == Kind.LISTWISE:
            return found
        return Marks(found.key, found.value * self.direction[found.key])

    def _soft(self) -> Marks:
        rows = list(soft_labels(self.project, self.judge, self.part.kind, self.part.criterion))
        unit, known = self._units(ids([row["item"] for row in rows]))
        if self.part.kind == Kind.LISTWISE:
            return self._soft_lists(rows, unit, known)
        first = np.array([row["probabilities"][0] for row in rows], dtype=np.float64)
        if self.part.kind == Kind.PAIRWISE and len(rows):
            first = np.where(self.direction[unit] > 0, first, 1 - first)
        order = np.argsort(unit[known])
        return Marks(unit[known][order], first[known][order])

    def _soft_lists(self, rows: list[dict[str, Any]], unit: Integers, known: Booleans) -> Marks:
        """Probabilities are of the list's own pairs; keys go by those of the longest list."""
        places = {pair: place for place, pair in enumerate(_pairs(self.longest))}
        found: dict[int, float] = {}
        for row, index, is_known in zip(rows, unit.tolist(), known.tolist(), strict=True):
            size = round((1 + (1 + 8 * len(row["probabilities"])) ** 0.5) / 2)
            if is_known:
                for pair, value in zip(_pairs(size), row["probabilities"], strict=True):
                    found[index * len(places) + places[pair]] = value
        keys = sorted(found)
        return Marks(ids(keys), np.array([found[key] for key in keys], dtype=np.float64))

    @property
    def _asked(self) -> Asked:
        return Asked(self.project, self.judge, self.part.kind, self.part.criterion)

    def _chains(self) -> Chains:
        """Every order and sample as it was read, in canonical order; of a file the one order that
        it lists."""
        if self.part.kind == Kind.THUMBS:
            return Chains()
        if self.judge.origin == Judge.Origin.IMPORTED and self.part.kind == Kind.PAIRWISE:
            votes = self.votes.only(self.votes.is_judge)
            return Chains(
                votes.item, _dense(votes.prompt), np.sign(votes.value),
                np.where(votes.shown_first == 0, 1.0, -1.0),
            )  # fmt: skip
        rows = (
            (item, prompt, ranks, raw["shown_order"])
            for item, prompt, raw in self._asked.chains()
            if (ranks := _ranks_of_chain(raw)) is not None and len(raw["shown_order"]) > 1
        )
        parts = [self._signs([])]
        while some := list(islice(rows, AT_ONCE)):
            parts.append(self._signs(some))
        key, prompts, sign, side = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Chains(key, _dense(prompts), sign, side)

    def _signs(
        self, rows: list[tuple[int, int, list[float], list[int]]]
    ) -> tuple[Integers, Integers, Floats, Floats]:
        """Key, prompt, sign and side of each pair that these chains order."""
        sign = pair_signs(_padded([one[2] for one in rows], self.longest))
        side = pair_signs(_padded([np.argsort(one[3]).tolist() for one in rows], self.longest))
        row, pair = np.nonzero(side)
        items, prompts = ids([one[0] for one in rows]), ids([one[1] for one in rows])
        key = items[row] * max(side.shape[1], 1) + pair
        return key, prompts[row], sign[row, pair], side[row, pair]

    def _with_first(self, purpose: str) -> Iterator[tuple[Verdicted, Given | None]]:
        """What it said later, and at first of the same item by the same criteria and guidelines.
        These are samples, not all items."""
        later = list(self._asked.verdicts(purpose))
        items = sorted({one.item for one in later})
        first = {(one.item, one.protocol): one.answer for one in self._asked.verdicts(JUDGE, items)}
        return ((one, first.get((one.item, one.protocol))) for one in later)

    def _repeats(self) -> Repeats:
        first, again, prompts = [], [], []
        for later, given in self._with_first(REPEAT):
            before, after = _answer(given, self.part.kind), _answer(later.answer, self.part.kind)
            if before is not None and after is not None:
                first.append(before)
                again.append(after)
                prompts.append(later.prompt)
        if self.part.kind == Kind.THUMBS:
            one, two = (np.array([row[0] for row in rows], dtype=np.float64)
                        for rows in (first, again))  # fmt: skip
            return Repeats(_dense(ids(prompts)), one, two)
        signs = [pair_signs(_padded(rows, self.longest)) for rows in (first, again)]
        sizes = ids([len(row) for row in first])
        behind = np.triu_indices(self.longest, k=1)[1]
        row, pair = np.nonzero(behind[None, :] < sizes[:, None])
        return Repeats(_dense(ids(prompts)[row]), signs[0][row, pair], signs[1][row, pair])

    def _attacks(self) -> tuple[Attacks, tuple[str, ...]]:
        names: dict[str, int] = {}
        rows: list[tuple[int, int, float, float]] = []
        kind = self.part.kind
        for one, before in self._with_first(CANARY):
            if before is None or one.target is None:
                continue
            injected = np.nan if one.answer is None else standing_of(kind, one.answer, one.target)
            attack = names.setdefault(one.purpose.removeprefix(CANARY), len(names))
            rows.append((one.prompt, attack, standing_of(kind, before, one.target), injected))
        columns = np.array(rows, dtype=np.float64).reshape(-1, 4).T
        best = np.full(len(rows), best_standing(kind))
        prompts, attack = columns[0].astype(np.int64), columns[1].astype(np.int64)
        return Attacks(_dense(prompts), attack, columns[2], columns[3], best), tuple(names)

    def _by_tag(self) -> dict[str, Integers]:
        """Tags with enough prompts that do not stand for all of them."""
        prompts: dict[str, set[int]] = {}
        for prompt in np.unique(self.prompts).tolist():
            for name in tag_names(self.part.tags.get(prompt, {})):
                prompts.setdefault(name, set()).add(prompt)
        every = len(np.unique(self.prompts))
        kept = [
            (name, mine) for name, mine in prompts.items() if MINIMUM_CLUSTERS <= len(mine) < every
        ]
        kept.sort(key=lambda one: (-len(one[1]), one[0]))
        return {
            name: np.flatnonzero(np.isin(self.prompts, list(mine))).astype(np.int64)
            for name, mine in kept[:MOST_SLICES]
        }

    def _by_length(self, texts: Texts) -> dict[str, Integers]:
        if len(np.unique(self.prompts)) < 3 * MINIMUM_CLUSTERS:
            return {}
        total = np.nansum(texts.length, axis=1)
        place = np.searchsorted(np.quantile(total, [1 / 3, 2 / 3]), total)
        return {
            name: np.flatnonzero(place == third).astype(np.int64)
            for third, name in enumerate(LENGTHS)
        }


def _pairs(size: int) -> list[tuple[int, int]]:
    earlier, later = np.triu_indices(size, k=1)
    return list(zip(earlier.tolist(), later.tolist(), strict=True))


def _dense(prompts: Integers) -> Integers:
    return np.unique(prompts, return_inverse=True)[1].astype(np.int64)


def _padded(rows: list[list[Any]], longest: int) -> Floats:
    result = np.full((len(rows), longest), np.nan)
    for place, row in enumerate(rows):
        result[place, : len(row)] = row
    return result


def _ranks(given: Mapping[str, Any]) -> list[float] | None:
    """Lower is preferred, in canonical order: of a pair 0 against its strength turned round."""
    if given.get("ranks") is not None:
        return list(given["ranks"])
    return None if given.get("strength") is None else [-given["strength"], 0]


def _ranks_of_chain(raw: Mapping[str, Any]) -> list[float] | None:
    """Of a single verdict. Soft labels and scores are taken as they are, before a tie band makes
    ties of what is nearly even; responses that were scored alone stood beside none."""
    if raw.get("ranks") is not None:
        return list(raw["ranks"])
    if raw.get("strength") is not None:
        soft = raw.get("probabilities")
        return [0.5 - soft[0], 0] if soft else [-raw["strength"], 0]
    scores = raw.get("scores")
    return None if scores is None or None in scores else [-score for score in scores]


def _answer(given: Given | None, kind: str) -> list[float] | None:
    if given is None:
        return None
    return [float(given["thumb"])] if kind == Kind.THUMBS else _ranks(given)
