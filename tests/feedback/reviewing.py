"""Contested items, and a reviewer at work on them by plain forms."""

from __future__ import annotations

import re
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.models import Assignment, Item, Kind
from annotation.services.review_item import claim_review, own_reviews
from core.models import User
from feedback.selectors.review_queue import Filter, next_items
from feedback.services.resolve_items import resolve_items
from tests.cast import Cast, annotator_of
from tests.feedback.votes import judged

State = Assignment.State
CONTESTED: dict[str, list[Any]] = {
    Kind.PAIRWISE: [2, -2],
    Kind.THUMBS: [0, 1],
    Kind.LISTWISE: [[1, 2, 3], [3, 2, 1]],
}


def contest(cast: Cast, *values: Any, kind: str = Kind.PAIRWISE, **fields: Any) -> Item:
    item = judged(cast.project, kind, *(values or CONTESTED[kind]), **fields)
    resolve_items(project=cast.project, item_ids=[item.pk])
    return item


def order(cast: Cast, user: User | None = None, **only: str) -> list[int]:
    return next_items(cast.project, annotator_of(user or cast.rita), Filter(**only))


def claim(cast: Cast, user: User) -> Assignment | None:
    return claim_review(project=cast.project, user=user, item_ids=order(cast, user))


def answer_form(kind: str = Kind.PAIRWISE, strength: int = 2) -> dict[str, Any]:
    ranks = {f"rank-overall-{shown}": shown + 1 for shown in range(3)}
    return {
        "client_key": f"0123456789 {timezone.now().timestamp()}",
        "comment": "My own words.",
        "strength-overall": strength,
        "thumb-overall": 1,
        **ranks,
    }


class Reviewer:
    """A person at the reviewer's page, by plain forms."""

    def __init__(self, cast: Cast, user: User) -> None:
        self.cast, self.user, self.client = cast, user, Client()
        self.client.force_login(user)

    def get(self, query: str = "") -> Any:
        return self.client.get(
            reverse("feedback:adjudication", args=[self.cast.project.pk]) + query
        )

    def url(self, name: str, assignment: Assignment) -> str:
        return reverse(f"feedback:{name}", args=[self.cast.project.pk, assignment.pk])

    def open(self) -> Assignment:
        assert self.get().status_code == 200
        return own_reviews(annotator_of(self.user)).get(state=State.LEASED)

    def answer(self, assignment: Assignment, **form: Any) -> Any:
        return self.client.post(
            self.url("adjudication-answer", assignment), answer_form() | form, follow=True
        )

    def decide(self, assignment: Assignment, **form: Any) -> Any:
        shown = self.client.get(self.url("reveal", assignment)).content.decode()
        hidden = dict(re.findall(r'name="(seen-\w+|votes)" value="([^"]*)"', shown))
        return self.client.post(
            self.url("decide", assignment), answer_form() | hidden | {"note": "Because."} | form
        )
