"""Decisions beside the judgments that they rest on, and what reviewers' blind answers tell."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import OuterRef, QuerySet, Subquery

from annotation.answer_words import in_words
from annotation.answers import AnswerValue
from annotation.models import Answer, Item, Project
from core.models import User
from feedback.models import Adjudication
from feedback.review_words import direction
from feedback.selectors.adjudication import value_of
from feedback.selectors.agreement import criterion_names
from feedback.selectors.review_votes import share_interval
from feedback.statistics.intervals import MINIMUM_ANSWERS

Verdict = Adjudication.Verdict
WORDS = {
    Verdict.EXCLUDED: "Excluded",
    Verdict.SENT_BACK: "Sent back",
    Verdict.WITHDRAWN: "Taken back",
}
NEWEST = 1000
Answers = dict[tuple[int, str], AnswerValue]


@dataclass(frozen=True)
class Decided:
    """One word with what it stands beside; responses are called A, B, C, … as on the item page."""

    row: Adjudication
    criterion: str
    words: str
    blind: str
    originals: str

    @property
    def is_final(self) -> bool:
        return self.row.verdict in (Verdict.DECIDED, Verdict.EXCLUDED)


def last_words(project: Project) -> QuerySet[Adjudication]:
    """Of each item and criterion the last. An earlier one would tell of what waits again."""
    newer = Adjudication.objects.filter(item=OuterRef("item"), criterion=OuterRef("criterion"))
    rows = Adjudication.objects.filter(item__project=project)
    return rows.filter(pk=Subquery(newer.order_by("-pk").values("pk")[:1]))


def words_on(item: Item) -> list[Decided]:
    rows = Adjudication.objects.filter(item=item).select_related("adjudicator", "item")
    return decided(item.project, list(rows))


def decided(project: Project, rows: Sequence[Adjudication]) -> list[Decided]:
    """Two queries, however many there are."""
    names, answers = criterion_names(project), _answers_of(rows)
    return [_decided(row, names.get(row.criterion, row.criterion), answers) for row in rows]


def _answers_of(rows: Iterable[Adjudication]) -> Answers:
    """By judgment and criterion: what reviewers answered blind, and all that they saw."""
    judgments = {row.blind_id for row in rows if row.blind_id}
    judgments.update(one for row in rows for one in row.seen_judgments)
    found = Answer.objects.filter(judgment__pk__any=judgments)
    return {(one.judgment_id, one.criterion): AnswerValue.of(one) for one in found}


def _decided(row: Adjudication, name: str, answers: Answers) -> Decided:
    blind = answers.get((row.blind_id or 0, row.criterion))
    originals = Counter(in_words(one) for one in _seen(row, answers))
    return Decided(
        row=row,
        criterion=name,
        words=WORDS.get(Verdict(row.verdict)) or in_words(value_of(row)),
        blind=in_words(blind) if blind else "",
        originals=", ".join(f"{n} × {words}" for words, n in originals.most_common()),
    )


def _seen(row: Adjudication, answers: Answers) -> list[AnswerValue]:
    keys = [(judgment, row.criterion) for judgment in row.seen_judgments]
    return [answers[key] for key in keys if key in answers]


@dataclass(frozen=True)
class Share:
    """Hits of so many, with an interval where there are enough to tell one."""

    hits: int
    of: int

    @property
    def words(self) -> str:
        return f"{self.hits:,} of {self.of:,}" if self.of else "–"

    @property
    def interval(self) -> str:
        if self.of < MINIMUM_ANSWERS:
            return "too few for an interval"
        low, high = share_interval(self.hits, self.of)
        return f"{self.hits / self.of:.0%} ({low:.0%} to {high:.0%})".replace("%", " %")


@dataclass(frozen=True)
class Reviewer:
    """`agreed`: blind answers that say what most judgments say, of those where most say one thing.

    `changed`: decisions that say another thing than the blind answer; `followed`: of these the
    ones that say what most judgments say, where there is such a thing.
    """

    user: User | None
    agreed: Share
    changed: Share
    followed: Share


def reviewers_of(project: Project) -> list[Reviewer]:
    """Everybody who decided after a blind answer, most decisions first, and all of them as one.

    By the newest decisions: a page waits for it, and what was long ago says less of today.
    """
    rows = last_words(project).filter(verdict=Verdict.DECIDED, blind__isnull=False)
    found = list(rows.select_related("adjudicator").order_by("-pk")[:NEWEST])
    answers = _answers_of(found)
    groups: dict[User | None, list[Adjudication]] = defaultdict(list)
    for row in found:
        groups[row.adjudicator].append(row)
    each = [_reviewer(user, some, answers) for user, some in groups.items()]
    each.sort(key=lambda one: -one.changed.of)
    return each + [_reviewer(None, found, answers)] * (len(each) > 1)


def _reviewer(user: User | None, rows: Sequence[Adjudication], answers: Answers) -> Reviewer:
    told = [_told(row, answers) for row in rows]
    with_most = [one for one in told if one[2]]
    changed = [one for one in told if one[0] != one[1]]
    return Reviewer(
        user=user,
        agreed=Share(sum(blind == most for blind, _, most in with_most), len(with_most)),
        changed=Share(len(changed), len(told)),
        followed=Share(
            sum(final == most for _, final, most in changed if most),
            sum(bool(most) for _, _, most in changed),
        ),
    )


def _told(row: Adjudication, answers: Answers) -> tuple[str, str, str]:
    """What the blind answer, the decision and most judgments say; empty for a dead heat."""
    blind = answers.get((row.blind_id or 0, row.criterion), AnswerValue())
    counts = Counter(direction(one) for one in _seen(row, answers)).most_common(2)
    is_clear = len(counts) == 1 or (len(counts) == 2 and counts[0][1] > counts[1][1])
    return direction(blind), direction(value_of(row)), counts[0][0] if is_clear else ""
