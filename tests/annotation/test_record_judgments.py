from __future__ import annotations

import pytest

from annotation.answers import AnswerValue
from annotation.models import Annotator, Answer, Assignment, Item, Judge, Judgment, Kind, Protocol
from annotation.services.annotator import (
    annotator_for_judge,
    annotator_for_user,
    annotator_for_worker,
)
from annotation.services.judge import import_judge
from annotation.services.judgment_import import NewJudgment, record_judgments
from core.errors import PrefloopError
from tests.cast import Cast, make_item, make_project
from tests.races import in_threads

BETTER = {"overall": AnswerValue(strength=2)}


def worker(number: int = 1) -> Annotator:
    return annotator_for_worker(source="set", external_id=str(number))


def judged(item: Item, annotator: Annotator, **fields) -> NewJudgment:
    given = {"answers": BETTER, "shown_order": (1, 0), **fields}
    return NewJudgment(item=item, annotator=annotator, **given)


def test_it_is_a_done_assignment_without_a_slot(cast: Cast) -> None:
    item = make_item(cast.project)
    given = judged(item, worker(), comment="Clearer.", reasons=("clear", "a, b"))
    recorded = record_judgments(project=cast.project, judgments=[given])
    assert (recorded.created, recorded.existing) == (1, 0)
    assignment = Assignment.objects.get()
    judgment = Judgment.objects.get()
    assert (assignment.state, assignment.takes_slot, assignment.occasion) == ("done", False, "main")
    assert (assignment.current, assignment.shown_order) == (judgment, [1, 0])
    assert (judgment.origin, judgment.reasons) == ("import", ["clear", "a, b"])
    assert judgment.comment.text == "Clearer."
    assert Answer.objects.get().strength == 2
    item.refresh_from_db()
    assert (item.open_slots, item.started) == (item.overlap, False)


def test_probabilities_and_the_time_it_took_are_kept(cast: Cast) -> None:
    item, other = make_item(cast.project), make_item(cast.project)
    given = judged(item, worker(), probabilities={"overall": (0.75,)}, duration_ms=1200)
    record_judgments(project=cast.project, judgments=[given, judged(other, worker())])
    kept = Answer.objects.get(judgment__assignment__item=item)
    assert (kept.probabilities, kept.judgment.duration_ms) == ([0.75], 1200)
    plain = Answer.objects.get(judgment__assignment__item=other)
    assert (plain.probabilities, plain.judgment.duration_ms) == (None, None)


def test_lists_and_thumbs_too(cast: Cast) -> None:
    ranked, thumbed = (make_item(cast.project, kind=kind) for kind in (Kind.LISTWISE, Kind.THUMBS))
    ranks = AnswerValue(ranks=(3, 1, 1), acceptable_to=1)
    record_judgments(
        project=cast.project,
        judgments=[
            judged(ranked, worker(), answers={"overall": ranks}, shown_order=(0, 1, 2)),
            judged(thumbed, worker(), answers={"overall": AnswerValue(thumb=1)}, shown_order=(0,)),
        ],
    )
    listed = Answer.objects.get(ranks__isnull=False)
    assert (listed.ranks, listed.acceptable_to) == ([2, 1, 1], 1)
    assert Answer.objects.get(thumb__isnull=False).thumb == 1


def test_again_it_adds_nothing_and_the_first_answer_stays(cast: Cast) -> None:
    item = make_item(cast.project)
    record_judgments(project=cast.project, judgments=[judged(item, worker())])
    other = judged(item, worker(), answers={"overall": AnswerValue(strength=-3)})
    recorded = record_judgments(project=cast.project, judgments=[other, other])
    assert (recorded.created, recorded.existing) == (0, 2)
    assert Answer.objects.get().strength == 2


@pytest.mark.parametrize("at_once", [True, False])
def test_criteria_of_one_judgment_may_come_in_several_rows(cast: Cast, at_once: bool) -> None:
    item = make_item(cast.project)
    rows = [
        judged(item, worker(), comment="Clearer.", reasons=("clear",)),
        judged(item, worker(), answers={"safe": AnswerValue(strength=-1)}, comment="Rude."),
        judged(item, worker(), answers={"safe": AnswerValue(strength=3)}),
    ]
    calls = [rows] if at_once else [[row] for row in rows]
    recorded = [record_judgments(project=cast.project, judgments=call) for call in calls]
    assert [sum(one.created for one in recorded), sum(one.existing for one in recorded)] == [2, 1]
    current = Assignment.objects.get().current
    assert current is not None
    assert dict(current.answers.values_list("criterion", "strength")) == {"overall": 2, "safe": -1}
    assert (current.revision, current.reasons) == (2, ["clear"])
    assert current.comment.text == "Clearer.\nRude."
    again = record_judgments(project=cast.project, judgments=rows)
    assert (again.created, Judgment.objects.count()) == (0, 2)


def test_the_protocol_is_frozen_by_the_first_one(cast: Cast) -> None:
    record_judgments(project=cast.project, judgments=[])
    assert cast.project.protocol.frozen_at is None
    record_judgments(project=cast.project, judgments=[judged(make_item(cast.project), worker())])
    assert cast.project.protocol.frozen_at is not None


def test_an_impossible_answer_leaves_nothing(cast: Cast) -> None:
    item = make_item(cast.project)
    bad = judged(item, worker(2), answers={"overall": AnswerValue(strength=4)})
    with pytest.raises(PrefloopError):
        record_judgments(project=cast.project, judgments=[judged(item, worker()), bad])
    assert not Assignment.objects.exists()


def test_a_judges_verdict_has_a_judge_for_annotator(cast: Cast) -> None:
    judge = import_judge(name="GPT-4 (set)", model_name="gpt-4", family="GPT-4")
    assert import_judge(name="GPT-4 (set)", model_name="other") == judge
    record_judgments(
        project=cast.project,
        judgments=[judged(make_item(cast.project), annotator_for_judge(judge=judge))],
    )
    assert Assignment.objects.get().annotator.is_judge
    assert judge.origin == Judge.Origin.IMPORTED


def test_a_judge_that_was_configured_here_keeps_its_name(db: None) -> None:
    Judge.objects.create(name="Careful", model_name="x")
    with pytest.raises(PrefloopError, match="Careful"):
        import_judge(name="Careful", model_name="x")


@pytest.mark.django_db(transaction=True)
def test_annotators_and_judgments_are_made_once_by_many_at_once() -> None:
    project = make_project()
    item = make_item(project)

    def act(_: int) -> int:
        return record_judgments(project=project, judgments=[judged(item, worker())]).created

    assert sorted(in_threads(4, act)) == [0, 0, 0, 1]
    assert Annotator.objects.count() == Judgment.objects.count() == 1


def test_a_user_has_one_annotator(cast: Cast) -> None:
    assert annotator_for_user(user=cast.bob) == annotator_for_user(user=cast.bob)


def test_an_answer_to_older_questions_is_given_anew(cast: Cast) -> None:
    item, who = make_item(cast.project), worker()
    old = cast.project.protocol
    record_judgments(project=cast.project, judgments=[judged(item, who)], protocol=old)
    newest = Protocol.objects.get(pk=old.pk)
    newest.pk, newest.version = None, old.version + 1
    newest.save()
    worse = judged(item, who, answers={"overall": AnswerValue(strength=-1)})
    for _ in range(2):
        record_judgments(project=cast.project, judgments=[worse], protocol=newest)
    # What was asked by the older questions comes too late.
    record_judgments(project=cast.project, judgments=[judged(item, who)], protocol=old)
    current = Assignment.objects.get().current
    assert current is not None
    assert (current.revision, current.protocol) == (2, newest)
    assert current.answers.get().strength == -1
