"""The plots on a labeler's page, which look at no more than the newest of their items."""

from __future__ import annotations

import pytest

from annotation.answers import AnswerValue
from annotation.services.claim_item import claim_item
from annotation.services.submit_judgment import submit_judgment
from feedback.selectors import labeler
from feedback.selectors.labeler import labeler_detail
from feedback.selectors.quality import items_judged_by
from feedback.services.policy import current_policy
from tests.cast import Cast, annotator_of, make_item


def answer_as_bob(cast: Cast) -> int:
    item = make_item(cast.project)
    assignment = claim_item(project=cast.project, user=cast.bob)
    assert assignment is not None
    answers = {"overall": AnswerValue(strength=1)}
    submit_judgment(assignment=assignment, client_key=f"an answer {item.pk}", answers=answers)
    return item.pk


@pytest.mark.parametrize(("most", "said"), [(2, 2), (3, 0)])
def test_only_the_newest_are_looked_at(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, most: int, said: int
) -> None:
    monkeypatch.setattr(labeler, "MOST_ITEMS", most)
    items = [answer_as_bob(cast) for _ in range(3)]
    bob = annotator_of(cast.bob).pk
    assert labeler_detail(cast.project, current_policy(cast.project), bob, {}).newest == said
    assert items_judged_by(cast.project, bob, most=2) == [items[2], items[1]]
