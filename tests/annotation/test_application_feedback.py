"""Feedback of end users that arrives at the same moment."""

from __future__ import annotations

import pytest

from annotation.answers import AnswerValue
from annotation.models import Assignment, Item, Judgment, Prompt, Response
from annotation.services.application_feedback import RecordedFeedback, record_feedback
from tests.cast import Cast
from tests.races import in_threads

pytestmark = pytest.mark.django_db(transaction=True)


def send(cast: Cast, event: str) -> RecordedFeedback:
    return record_feedback(
        project=cast.project,
        application="helpdesk",
        external_id=event,
        kind="thumbs",
        prompt=[{"role": "user", "content": "How do I reset it?"}],
        responses=[("version 3", [{"role": "assistant", "content": "Hold the button."}])],
        answers={"overall": AnswerValue(thumb=1)},
    )


def test_one_event_from_many_sides_counts_once(cast: Cast) -> None:
    results = in_threads(4, lambda number: send(cast, "event"))
    assert sorted(result.created for result in results) == [False, False, False, True]
    assert len({result.judgment.pk for result in results}) == 1


def test_many_events_about_one_answer_are_all_kept(cast: Cast) -> None:
    results = in_threads(4, lambda number: send(cast, f"event {number}"))
    assert all(result.created for result in results)
    counts = [model.objects.count() for model in (Prompt, Response, Item, Assignment, Judgment)]
    assert counts == [1, 1, 1, 1, 4]
