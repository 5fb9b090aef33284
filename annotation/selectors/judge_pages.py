"""Judges as researchers read them: which there are, what they were asked, what came of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from annotation.answer_words import in_words, letter
from annotation.answers import AnswerValue
from annotation.judging.content import LONGEST_LIST
from annotation.models import (
    Answer,
    Assignment,
    Item,
    ItemResponse,
    Judge,
    JudgeCall,
    JudgeRun,
    JudgeVerdict,
    Kind,
    Project,
    ProjectJudge,
    ProviderModel,
)
from core.models import Job

TRIED = 10
ERRORS_SHOWN = 5
UNPARSABLE = "unparsable"


def judges_in(project: Project) -> QuerySet[Judge]:
    """Those made here, and imported ones that have answered here; no drafts."""
    return with_drafts(project).exclude(origin=Judge.Origin.DRAFT)


def with_drafts(project: Project) -> QuerySet[Judge]:
    answered = Assignment.objects.filter(annotator__judge=OuterRef("pk"), item__project=project)
    return (
        Judge.objects.filter(Q(project=project) | Q(project=None) & Exists(answered))
        .select_related("model__provider", "created_by")
        .order_by("name", "-version")
    )


@dataclass(frozen=True)
class JudgeRow:
    judge: Judge
    takes: str
    judged: int
    last_run: JudgeRun | None


def judge_rows(project: Project) -> list[JudgeRow]:
    judges = list(judges_in(project))
    keys = [judge.pk for judge in judges]
    choices = ProjectJudge.objects.filter(project=project, judge__in=keys)
    takes = {choice.judge_id: choice.get_takes_display() for choice in choices}
    runs = project.judge_runs.filter(judge__in=keys).select_related("job")
    last = runs.order_by("judge", "-pk").distinct("judge")
    newest = {run.judge_id: run for run in last}
    counts = _judged(project, keys)
    return [
        JudgeRow(
            one, takes.get(one.pk, "Not chosen yet"), counts.get(one.pk, 0), newest.get(one.pk)
        )
        for one in judges
    ]


def _judged(project: Project, keys: Sequence[int]) -> dict[int, int]:
    done = Assignment.objects.filter(
        annotator__judge__in=keys, item__project=project, state=Assignment.State.DONE
    )
    counted = done.order_by().values_list("annotator__judge").annotate(n=Count("pk"))
    return dict(counted)


def takes_of(project: Project, judge: Judge) -> str:
    """Empty while nobody has chosen."""
    return str(project_choice(project, judge).get("takes", ""))


def project_choice(project: Project, judge: Judge) -> dict[str, Any]:
    """Which items it takes, and whether by itself."""
    choices = ProjectJudge.objects.filter(project=project, judge=judge)
    found = choices.values("takes", "by_itself").first()
    return dict(found) if found else {}


def models_on_offer() -> QuerySet[ProviderModel]:
    return (
        ProviderModel.objects.filter(provider__retired_at=None)
        .select_related("provider")
        .order_by("provider__name", "name")
    )


def runs_of(project: Project) -> QuerySet[JudgeRun]:
    return project.judge_runs.select_related("judge__model__provider", "job", "created_by")


# Which calls a filter shows, and the words for it.
CALL_FILTERS: dict[str, tuple[str, Q]] = {
    "done": ("Answered", Q(state=JudgeCall.State.DONE)),
    "failed": ("Failed", Q(state=JudgeCall.State.FAILED)),
    "unparsable": ("Could not be read", Q(state=JudgeCall.State.DONE) & ~Q(error="")),
    "unknown": ("No answer came", Q(state=JudgeCall.State.UNKNOWN)),
    "intended": ("Out, or waiting", Q(state=JudgeCall.State.INTENDED)),
}


def calls_of(judge: Judge, project: Project, outcome: str = "") -> QuerySet[JudgeCall]:
    """Newest first, without the replies, which may be long."""
    calls = JudgeCall.objects.filter(judge=judge, run__project=project).defer("reply")
    if outcome in CALL_FILTERS:
        calls = calls.filter(CALL_FILTERS[outcome][1])
    return calls.order_by("-pk")


@dataclass(frozen=True)
class RunFigures:
    """What a run has come to so far."""

    calls: dict[str, int]
    outcomes: dict[str, int]
    # What went wrong lately, and how often it did among the newest calls.
    errors: list[tuple[str, int]]
    # Not while it runs: they are added up over all of its calls.
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    # Requests that are out, and for how many seconds the oldest has been.
    out: int = 0
    waits: float | None = None

    @property
    def calls_done(self) -> int:
        return sum(count for state, count in self.calls.items() if state != "intended")

    @property
    def judged(self) -> int:
        return sum(self.outcomes.values())


def figures_of(run: JudgeRun) -> RunFigures:
    """While it runs, what its worker tells: pages ask each second, and calls may be many."""
    told = run.job.progress if run.job is not None and run.job.state == Job.State.RUNNING else {}
    if "calls" in told:
        errors = Counter(told["newest"]).most_common(ERRORS_SHOWN)
        waits = _waits(run, told.get("oldest_sent_at"))
        out = told["out"] if waits is not None else 0
        return RunFigures(told["calls"], told["items"], errors, out=out, waits=waits)
    calls = JudgeCall.objects.filter(run=run).order_by()
    states = dict(calls.values_list("state").annotate(n=Count("pk")))
    outcomes = run.verdicts.order_by().values_list("outcome").annotate(n=Count("pk"))
    tokens = calls.aggregate(into=Sum("prompt_tokens"), out=Sum("completion_tokens"))
    newest = calls.exclude(error="").order_by("-pk").values_list("error", flat=True)[:100]
    return RunFigures(
        calls=states,
        outcomes=dict(outcomes),
        errors=Counter(newest).most_common(ERRORS_SHOWN),
        prompt_tokens=tokens["into"] or 0,
        completion_tokens=tokens["out"] or 0,
    )


def _waits(run: JudgeRun, sent_at: float | None) -> float | None:
    """None where nothing is out, or what is told is of a worker before this one."""
    begun = run.job.started_at if run.job is not None else None
    if sent_at is None or begun is None or sent_at < begun.timestamp():
        return None
    return timezone.now().timestamp() - sent_at


def trial_items(project: Project, judge: Judge, kinds: Sequence[str]) -> list[int]:
    """Ten items that this judge was not tried on yet; first those that people have judged, and of
    these one of each prompt before a second of any."""
    tried = JudgeVerdict.objects.filter(item=OuterRef("pk"), judge=judge, purpose="trial")
    items = (
        usable_items(project, kinds)
        .annotate(by_people=Exists(_of_people().filter(item=OuterRef("pk"))))
        .exclude(Exists(tried))
        .annotate(
            turn=Window(
                RowNumber(), partition_by=[F("prompt"), F("by_people")], order_by=["rnd", "pk"]
            )
        )
        .order_by("-by_people", "turn", "rnd", "pk")
    )
    return list(items.values_list("pk", flat=True)[:TRIED])


def usable_items(project: Project, kinds: Iterable[str]) -> QuerySet[Item]:
    """Gold measures people, and nobody is asked about equal or withdrawn texts, or long lists."""
    unfit = ItemResponse.objects.filter(
        Q(response__withdrawn_at__isnull=False) | Q(position__gte=LONGEST_LIST),
        item=OuterRef("pk"),
    )
    created = Item.objects.filter(
        project=project, kind__in=list(kinds), is_gold=False, prompt__withdrawn_at=None
    )
    return created.exclude(origin=Item.Origin.IDENTICAL).exclude(Exists(unfit))


def _of_people() -> QuerySet[Assignment]:
    return Assignment.objects.filter(
        annotator__judge=None,
        occasion="main",
        state=Assignment.State.DONE,
        current__isnull=False,
    )


@dataclass(frozen=True)
class TrialAnswer:
    """For one criterion: what each call said, what they come to, and what people said."""

    criterion: str
    raw: list[str]
    combined: str
    consistent: bool | None
    people: list[tuple[str, int]]


@dataclass(frozen=True)
class TrialRow:
    verdict: JudgeVerdict
    item: Item
    answers: list[TrialAnswer]
    reason: str
    # Why nothing could be read, or nothing came.
    error: str
    cost: Any


def trial_rows(run: JudgeRun) -> list[TrialRow]:
    verdicts = list(run.verdicts.select_related("item__prompt").order_by("pk")[:50])
    items = [verdict.item_id for verdict in verdicts]
    people = people_counts(items)
    calls = JudgeCall.objects.filter(run=run, item__in=items).order_by()
    costs = dict(calls.values_list("item").annotate(cost=Sum("settled_cost")))
    return [_trial_row(one, people[one.item_id], costs.get(one.item_id)) for one in verdicts]


def _trial_row(verdict: JudgeVerdict, people: dict[str, Counter[str]], cost: Any) -> TrialRow:
    kind, detail = verdict.item.kind, verdict.detail
    answers = [
        TrialAnswer(
            criterion=key,
            raw=[_raw_words(kind, one) for one in given.get("raw", [])],
            combined=side_words(kind, given.get("answer") or {}),
            consistent=given.get("consistent"),
            people=people[key].most_common(),
        )
        for key, given in detail.get("criteria", {}).items()
    ]
    reason, error = str(detail.get("reason", "")), str(detail.get("error", ""))
    return TrialRow(verdict, verdict.item, answers, reason, error, cost)


def _raw_words(kind: str, raw: dict[str, Any]) -> str:
    """What one call said, by canonical names, and in which order it saw the responses."""
    said = side_words(kind, raw) or _scores(raw) or "nothing that could be read"
    order = raw.get("shown_order") or []
    notes = [f"shown {', '.join(map(letter, order))}"] if order[1:] else []
    probabilities = raw.get("probabilities") or []
    if len(probabilities) == 1:
        of = "A better" if kind == Kind.PAIRWISE else "good"
        notes.append(f"P({of}) {probabilities[0]:.2f}")
    return f"{said} ({'; '.join(notes)})" if notes else said


def _scores(raw: dict[str, Any]) -> str:
    """Of the responses that this call was shown."""
    given = enumerate(raw.get("scores") or [])
    return ", ".join(f"{letter(place)} {score:g}" for place, score in given if score is not None)


def side_words(kind: str, given: dict[str, Any]) -> str:
    value = AnswerValue(
        strength=given.get("strength"),
        both_bad=bool(given.get("both_bad")),
        ranks=tuple(given["ranks"]) if given.get("ranks") else None,
        thumb=given.get("thumb"),
    )
    asked = {Kind.PAIRWISE: value.strength, Kind.LISTWISE: value.ranks, Kind.THUMBS: value.thumb}
    return "" if asked[Kind(kind)] is None else in_words(value)


def people_counts(items: Sequence[int]) -> dict[int, dict[str, Counter[str]]]:
    """How many people gave which answer, by item and criterion; never who."""
    answers = Answer.objects.filter(
        judgment__in=_of_people().filter(item__in=items).values("current")
    ).select_related("judgment__assignment__item")
    counts: dict[int, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for answer in answers:
        item = answer.judgment.assignment.item
        counts[item.pk][answer.criterion][_bare(item.kind, AnswerValue.of(answer))] += 1
    return counts


def _bare(kind: str, value: AnswerValue) -> str:
    """Which side, without by how much: few people, and their degrees tell little."""
    if kind == Kind.PAIRWISE and value.strength:
        return in_words(AnswerValue(strength=2 if value.strength > 0 else -2))
    return in_words(value)
