"""Leaving a labeler out: what would change is what changes, and there is a way back."""

from __future__ import annotations

import random
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.answers import AnswerValue
from annotation.models import Annotator, Kind
from core import jobs
from core.errors import Conflict, PrefloopError
from core.models import AuditEvent, Job
from feedback.models import Policy, Preference
from feedback.selectors import labelers as labelers_module
from feedback.selectors.change import preview_change
from feedback.selectors.preferences import count_by_state
from feedback.services.adjudicate import adjudicate
from feedback.services.measure_agreement import measure_agreement
from feedback.services.policy import PolicyValues, current_policy
from feedback.services.resolve_items import resolve_items
from feedback.services.weigh_annotator import weigh_annotator, with_weight
from tests.cast import Cast, annotator_of
from tests.feedback.votes import judged, worker

State = Preference.State


def weigh(cast: Cast, annotator: Annotator, weight: float, version: int = 1) -> Policy:
    return weigh_annotator(
        project=cast.project, actor=cast.rosa, annotator=annotator, weight=weight,
        from_version=version,
    )  # fmt: skip


def tried(cast: Cast, annotator: Annotator, weight: float) -> dict[str, Any]:
    policy = current_policy(cast.project)
    new = with_weight(PolicyValues.of(policy), annotator, weight).unsaved(cast.project)
    return preview_change(cast.project, policy, new)


def run_jobs(kind: str) -> None:
    for job in Job.objects.filter(kind=kind, state=Job.State.QUEUED):
        jobs.run(job.pk)


def standing() -> dict[tuple[int, str], tuple[str, Any]]:
    rows = Preference.objects.newest()
    return {(row.item_id, row.criterion): (row.state, row.outcome) for row in rows}


def test_by_hand(cast: Cast) -> None:
    """c contests the first, ties break at the second, alone decides nothing at the third."""
    freed = judged(cast.project, Kind.PAIRWISE, 2, 2, -2)
    judged(cast.project, Kind.PAIRWISE, 2, 2, 2)
    waiting = judged(cast.project, Kind.PAIRWISE, 2)
    policy = current_policy(cast.project)
    policy.min_agreement = 0.7
    policy.save()
    found = tried(cast, worker("c"), 0)
    assert found["states"] == [("Waiting", 1, 1), ("Accepted", 1, 2), ("Contested", 1, 0)]
    assert found["moves"] == [("Contested", "Accepted", 1)]
    (item,) = found["items"]
    assert (item["item"], item["is_flip"]) == (freed.pk, False)
    assert (item["before"], item["after"]) == (
        ("Contested", "–"), ("Accepted", "A better, by 2.0 of 3"),
    )  # fmt: skip
    assert waiting.pk != item["item"]


def test_a_flip(cast: Cast) -> None:
    """Two of three are for A; with a and b counting little, c's B wins."""
    item = judged(cast.project, Kind.PAIRWISE, 1, 1, -2)
    heavy = tried(cast, worker("c"), 10)
    assert (heavy["flips"], heavy["changed"], heavy["moves"]) == (1, 1, [])
    (one,) = heavy["items"]
    assert (one["item"], one["is_flip"]) == (item.pk, True)
    assert [one["before"][1], one["after"][1]] == [
        "A better, by 1.0 of 3", "B better, by 2.0 of 3",
    ]  # fmt: skip


def test_an_item_that_nobody_else_judged_waits(cast: Cast) -> None:
    for kind, value in ((Kind.THUMBS, 1), (Kind.LISTWISE, [1, 2, 3]), (Kind.PAIRWISE, 2)):
        judged(cast.project, kind, value)
    Policy.objects.create(project=cast.project, version=2, min_judgments=1)
    found = tried(cast, worker("a"), 0)
    assert found["moves"] == [("Accepted", "Waiting", 3)]


def fill(cast: Cast, seed: int) -> None:
    """30 items of all kinds that up to five workers judge at random."""
    rng = random.Random(seed)
    for _ in range(30):
        kind = rng.choice(Kind.values)
        voters = rng.randint(1, 5)
        values = {
            Kind.PAIRWISE: lambda: rng.randint(-3, 3),
            Kind.THUMBS: lambda: rng.randint(0, 1),
            Kind.LISTWISE: lambda: rng.sample([1, 2, 3], 3),
        }[Kind(kind)]
        judged(cast.project, kind, *(values() for _ in range(voters)))


@pytest.mark.parametrize("aggregation", Policy.Aggregation.values)
@pytest.mark.parametrize("weight", [0, 0.3, 5])
def test_what_is_told_is_what_comes(cast: Cast, aggregation: str, weight: float) -> None:
    """Whatever is decided: items one by one, and agreement to the digit."""
    fill(cast, seed=int(10 * weight))
    Policy.objects.create(project=cast.project, version=2, aggregation=aggregation)
    reviewed = Preference.objects.none()
    resolve_items(project=cast.project)
    reviewed = Preference.objects.newest().filter(item__kind=Kind.THUMBS).order_by("pk")
    adjudicate(
        item=reviewed[0].item, criterion="overall", adjudicator=cast.rita,
        value=AnswerValue(thumb=1), seen=reviewed[0].pk,
    )  # fmt: skip
    before = standing()
    found = tried(cast, worker("a"), weight)
    weigh(cast, worker("a"), weight, version=2)
    run_jobs("resolve_items")
    after = standing()
    moved = [key for key in before if before[key][0] != after[key][0]]
    assert sum(count for *_, count in found["moves"]) == len(moved)
    assert {one["item"] for one in found["items"]} >= {item for item, _ in moved}
    states = {State(state).label: count for state, count in count_by_state(cast.project).items()}
    told = {name: then for name, _, then in found["states"]}
    assert {name: told.get(name, 0) for name in states if name != "Adjudicated"} == {
        name: count for name, count in states.items() if name != "Adjudicated"
    }
    assert states["Adjudicated"] == 1


def test_agreement_before_and_after(cast: Cast) -> None:
    """c contradicts everybody: without them agreement is perfect, and surely higher."""
    for number in range(15):
        sign = 1 if number % 2 else -1
        judged(cast.project, Kind.PAIRWISE, 2 * sign, 2 * sign, -2 * sign)
    found = {row["figure"]: row for row in tried(cast, worker("c"), 0)["agreement"]}
    (report,) = measure_agreement(project=cast.project)
    now = report.figures["people"]["estimates"]
    assert found["percent"]["before"]["value"] == now["percent"]["value"] == pytest.approx(1 / 3)
    assert found["percent"]["before"]["low"] == now["percent"]["low"]
    assert found["alpha"]["before"]["value"] == now["alpha_ordinal"]["value"]
    assert found["percent"]["after"]["value"] == found["alpha"]["after"]["value"] == 1
    assert found["percent"]["difference"]["low"] > 0.5
    weigh(cast, worker("c"), 0)
    (report,) = measure_agreement(project=cast.project)
    then = report.figures["people"]["estimates"]
    assert then["percent"]["value"] == found["percent"]["after"]["value"]


def test_a_weight_alone_changes_no_agreement(cast: Cast) -> None:
    for _ in range(12):
        judged(cast.project, Kind.PAIRWISE, 2, 2, -2)
    for row in tried(cast, worker("c"), 0.5)["agreement"]:
        assert row["before"] == row["after"]
        assert row["difference"]["value"] == 0


def test_trying_writes_nothing(cast: Cast, client: Client) -> None:
    fill(cast, seed=1)
    resolve_items(project=cast.project)
    rows, policies = Preference.objects.count(), Policy.objects.count()
    client.force_login(cast.rosa)
    reply = client.get(address(cast, "weigh"), {"weight": "0"})
    assert reply.status_code == 200
    assert "would change" in reply.content.decode()
    assert (Preference.objects.count(), Policy.objects.count()) == (rows, policies)
    assert not Job.objects.exists()


def address(cast: Cast, name: str, annotator: Annotator | None = None) -> str:
    who = annotator or worker("a")
    return reverse(f"feedback:{name}", args=[cast.project.pk, who.pk])


def test_out_and_back_again(cast: Cast, client: Client) -> None:
    """Each is a policy version of its own, with its audit; the decisions return."""
    for _ in range(3):
        judged(cast.project, Kind.PAIRWISE, -2, 2, 2)
    resolve_items(project=cast.project)
    before = standing()
    client.force_login(cast.rosa)
    sent = {"weight": "0", "from_version": "1"}
    reply = client.post(address(cast, "set-weight"), sent, follow=True)
    page = reply.content.decode()
    assert "is left out: policy version 2" in page
    assert "Undo: count fully again" in page
    run_jobs("resolve_items")
    assert {row.support_people for row in Preference.objects.newest()} == {2}
    sent = {"weight": "1", "from_version": "2"}
    page = client.post(address(cast, "set-weight"), sent, follow=True).content.decode()
    assert "counts fully: policy version 3" in page
    run_jobs("resolve_items")
    assert standing() == before
    assert current_policy(cast.project).weights == {}
    events = AuditEvent.objects.filter(action="weigh_annotator").order_by("pk")
    assert [event.detail for event in events] == [
        {"weight": 0.0, "was": 1.0, "policy_version": 2},
        {"weight": 1.0, "was": 0.0, "policy_version": 3},
    ]


def test_the_same_weight_again_is_no_new_version(cast: Cast) -> None:
    judged(cast.project, Kind.PAIRWISE, 1)
    assert weigh(cast, worker("a"), 1).version == 1
    assert weigh(cast, worker("a"), 0.5).version == 2
    assert weigh(cast, worker("a"), 0.5, version=1).version == 2
    assert AuditEvent.objects.filter(action="weigh_annotator").count() == 1
    assert Job.objects.filter(kind="resolve_items").count() == 1


def test_somebody_was_quicker(cast: Cast, client: Client) -> None:
    judged(cast.project, Kind.PAIRWISE, 1, 1)
    weigh(cast, worker("b"), 0)
    with pytest.raises(Conflict, match="version 2"):
        weigh(cast, worker("a"), 0, version=1)
    client.force_login(cast.rosa)
    stale = client.post(address(cast, "set-weight"), {"weight": "0", "from_version": "1"})
    assert stale.status_code == 409
    assert current_policy(cast.project).weights == {str(worker("b").pk): 0}


@pytest.mark.parametrize("weight", ["-1", "11", "nan", "inf", "", "much"])
def test_nonsense_is_refused(cast: Cast, client: Client, weight: str) -> None:
    judged(cast.project, Kind.PAIRWISE, 1)
    client.force_login(cast.rosa)
    for name in ("try-weight", "set-weight"):
        sent = {"weight": weight, "from_version": "1"}
        assert client.post(address(cast, name), sent).status_code == 400
    assert client.get(address(cast, "weigh"), {"weight": weight}).status_code == 400
    assert current_policy(cast.project).version == 1


def test_a_negative_weight_is_refused_by_the_service(cast: Cast) -> None:
    judged(cast.project, Kind.PAIRWISE, 1)
    with pytest.raises(PrefloopError):
        weigh(cast, worker("a"), -1)


def test_strangers_and_weaker_roles(cast: Cast, client: Client) -> None:
    judged(cast.project, Kind.PAIRWISE, 1)
    for user, status in {cast.mallory: 404, cast.bob: 403, cast.rita: 403}.items():
        client.force_login(user)
        assert client.get(address(cast, "weigh"), {"weight": "0"}).status_code == status
        for name in ("try-weight", "set-weight"):
            sent = {"weight": "0", "from_version": "1"}
            assert client.post(address(cast, name), sent).status_code == status
    assert current_policy(cast.project).version == 1
    client.force_login(cast.rita)
    assert (
        "How much these judgments count"
        not in client.get(address(cast, "labeler")).content.decode()
    )


def test_who_never_judged_here_is_not_found(cast: Cast, client: Client) -> None:
    client.force_login(cast.rosa)
    elsewhere = address(cast, "weigh", annotator_of(cast.lena))
    assert client.get(elsewhere, {"weight": "0"}).status_code == 404


def test_a_large_project_is_tried_by_a_job(
    cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(cast, seed=2)
    monkeypatch.setattr(labelers_module, "MEASURED_AT_ONCE", 5)
    client.force_login(cast.rosa)
    page = client.get(address(cast, "weigh"), {"weight": "0"}).content.decode()
    assert "This takes a moment" in page
    asked = client.post(address(cast, "try-weight"), {"weight": "0"}, follow=True)
    assert b"Waiting for a worker" in asked.content
    run_jobs("preview_weight")
    job = Job.objects.get(kind="preview_weight")
    assert job.state == Job.State.SUCCEEDED
    shown = client.get(address(cast, "weigh"), {"weight": "0", "job": job.pk})
    assert "would change" in shown.content.decode()
    # Another labeler's job says nothing of this one.
    other = client.get(address(cast, "weigh", worker("b")), {"weight": "0", "job": job.pk})
    assert other.status_code == 404
    assert client.get(address(cast, "weigh"), {"weight": "1", "job": job.pk}).status_code == 404
    for wrong in ("0", "x", "9" * 30):
        assert client.get(address(cast, "weigh"), {"weight": "0", "job": wrong}).status_code == 404


def test_what_was_tried_under_another_policy_is_not_shown(
    cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(cast, seed=2)
    monkeypatch.setattr(labelers_module, "MEASURED_AT_ONCE", 5)
    client.force_login(cast.rosa)
    client.post(address(cast, "try-weight"), {"weight": "0"})
    run_jobs("preview_weight")
    asked = {"weight": "0", "job": Job.objects.get(kind="preview_weight").pk}
    assert b"Leave them out" in client.get(address(cast, "weigh"), asked).content
    weigh_annotator(
        project=cast.project, actor=cast.mary, annotator=worker("b"), weight=0.5,
        from_version=current_policy(cast.project).version,
    )  # fmt: skip
    page = client.get(address(cast, "weigh"), asked).content.decode()
    assert "Leave them out" not in page
    assert "Compute what would change" in page
