"""The acceptance rule: versioned, tried before it is saved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.answers import AnswerValue
from annotation.models import Assignment, Kind
from core import jobs
from core.errors import Conflict, PrefloopError
from core.models import AuditEvent, Job
from feedback.models import Policy, Preference
from feedback.selectors.policy import preview_policy
from feedback.selectors.preferences import count_by_state
from feedback.services.adjudicate import adjudicate
from feedback.services.policy import PolicyValues, current_policy, revise_policy
from feedback.services.resolve_items import resolve_items, resolve_stale
from tests.cast import Cast, make_project
from tests.feedback.votes import judged


def values(cast: Cast, **changes: Any) -> PolicyValues:
    return replace(PolicyValues.of(current_policy(cast.project)), **changes)


def revise(cast: Cast, version: int = 1, **changes: Any) -> Policy:
    return revise_policy(
        project=cast.project, actor=cast.rosa, values=values(cast, **changes), from_version=version
    )


def test_it_works(cast: Cast) -> None:
    saved = revise(cast, min_judgments=1)
    assert (saved.version, saved.min_judgments, saved.created_by) == (2, 1, cast.rosa)
    assert current_policy(cast.project) == saved
    assert AuditEvent.objects.filter(action="revise_policy").count() == 1


def test_the_same_again_is_no_new_version(cast: Cast) -> None:
    assert revise(cast).version == 1
    assert Policy.objects.count() == 1


def test_the_first_policy_fits_the_overlap(db: None) -> None:
    assert current_policy(make_project(overlap=1)).min_judgments == 1
    assert current_policy(make_project(overlap=3)).min_judgments == 2


@pytest.mark.parametrize("judged_since", [False, True])
def test_stale_items_are_resolved_by_the_policy_in_force(cast: Cast, judged_since: bool) -> None:
    """Whether or not the job that resolves everything has run: a freeze may come before it."""
    judged(cast.project, Kind.PAIRWISE, 2, 1)
    resolve_items(project=cast.project)
    revise(cast, min_judgments=3)
    if judged_since:
        judged(cast.project, Kind.PAIRWISE, 2, 1)
    resolve_stale(project=cast.project)
    assert {row.state for row in Preference.objects.newest()} == {"waiting"}
    assert resolve_stale(project=cast.project).changed == 0


def test_somebody_was_quicker(cast: Cast) -> None:
    revise(cast, min_judgments=1)
    with pytest.raises(Conflict, match="version 2"):
        revise(cast, min_judgments=3)


@pytest.mark.parametrize(
    "changes",
    [{"min_judgments": 0}, {"min_agreement": 1.5}, {"aggregation": "magic"},
     {"weights": {"1": -1.0}}],
)  # fmt: skip
def test_nonsense_is_refused(cast: Cast, changes: dict[str, Any]) -> None:
    with pytest.raises(PrefloopError):
        revise(cast, **changes)
    assert current_policy(cast.project).version == 1


@pytest.mark.parametrize(
    "changes",
    [{"min_judgments": 1}, {"min_judgments": 3}, {"min_agreement": 0.9}, {"min_agreement": 0.3},
     {"aggregation": "dawid_skene"}, {"weights": "all but one"}],
)  # fmt: skip
def test_the_preview_tells_what_comes(cast: Cast, changes: dict[str, Any]) -> None:
    judged(cast.project, Kind.PAIRWISE, 2)
    judged(cast.project, Kind.PAIRWISE, 2, 1, -1)
    judged(cast.project, Kind.LISTWISE, [1, 2, 3], [1, 3, 2])
    judged(cast.project, Kind.THUMBS, 0, 0)
    settled = judged(cast.project, Kind.THUMBS, 0, 1)
    resolve_items(project=cast.project)
    adjudicate(item=settled, criterion="overall", adjudicator=cast.rita, value=AnswerValue(thumb=1))
    if changes.get("weights"):
        ids = Assignment.objects.values_list("annotator_id", flat=True)
        changes = {"weights": dict.fromkeys(map(str, set(ids)), 0.0)}
    tried = preview_policy(cast.project, values(cast, **changes).unsaved(cast.project))
    assert count_by_state(cast.project) == tried.before
    revise(cast, **changes)
    resolve_items(project=cast.project)
    assert count_by_state(cast.project) == tried.after


def send(client: Client, cast: Cast, do: str, **fields: Any) -> Any:
    client.force_login(cast.rosa)
    form = {
        "aggregation": "majority", "min_judgments": 1, "min_agreement": 0.66, "from_version": 1,
        "weights-TOTAL_FORMS": 0, "weights-INITIAL_FORMS": 0, "do": do,
    }  # fmt: skip
    return client.post(reverse("feedback:policy", args=[cast.project.pk]), {**form, **fields})


def test_the_page_tries_then_saves_then_decides(cast: Cast, client: Client) -> None:
    judged(cast.project, Kind.PAIRWISE, 2)
    resolve_items(project=cast.project)
    tried = send(client, cast, "try")
    assert b"What would change" in tried.content
    assert '<td class="number">\N{MINUS SIGN}1</td>' in tried.content.decode()
    assert Policy.objects.count() == 1
    assert send(client, cast, "save").status_code == 302
    assert current_policy(cast.project).min_judgments == 1
    for job in Job.objects.filter(kind="resolve_items"):
        jobs.run(job.pk)
    assert Preference.objects.newest().get().state == "accepted"


def test_weights_from_the_page(cast: Cast, client: Client) -> None:
    judged(cast.project, Kind.PAIRWISE, 2, -1)
    annotators = [one.annotator_id for one in Assignment.objects.order_by("annotator_id")]
    rows = {
        f"weights-{place}-{name}": value
        for place, annotator in enumerate(annotators)
        for name, value in (("annotator", annotator), ("weight", place))
    }
    counts = {"weights-TOTAL_FORMS": 2, "weights-INITIAL_FORMS": 2}
    assert send(client, cast, "save", **rows, **counts).status_code == 302
    assert current_policy(cast.project).weights == {str(annotators[0]): 0.0}


def test_a_bad_form_is_shown_again(cast: Cast, client: Client) -> None:
    assert send(client, cast, "save", min_agreement=7).status_code == 422


def test_resolving_everything_by_hand(cast: Cast, client: Client) -> None:
    client.force_login(cast.rosa)
    address = reverse("feedback:resolve", args=[cast.project.pk])
    assert client.post(address).status_code == 302
    assert client.post(address).status_code == 400
    (job,) = Job.objects.filter(kind="resolve_items")
    assert job.args == {"everything": True}
