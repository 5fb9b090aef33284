"""Which version is in use: decided once, taken back in order, by one person at a time."""

from __future__ import annotations

import pytest

from annotation.models import Generator
from core.errors import Conflict
from core.models import AuditEvent
from feedback.models import Snapshot
from tests.cast import Cast, make_cast
from tests.races import in_threads
from tests.training.conftest import Launch
from training.models import ModelVersion, Promotion
from training.selectors.loop import next_round
from training.selectors.promotion import promoted_version, promoted_versions, version_before
from training.services import promote_version, roll_back


def make_version(cast: Cast, number: int) -> ModelVersion:
    name = f"version {number} (project {cast.project.pk})"
    return ModelVersion.objects.create(
        project=cast.project,
        number=number,
        generator=Generator.objects.create(name=name, kind=Generator.Kind.MODEL_VERSION),
        folder=f"versions/{cast.project.pk}-{number}",
        lineage={},
    )


def promote(cast: Cast, version: ModelVersion, replacing: ModelVersion | None) -> Promotion:
    return promote_version(version=version, replacing=replacing, by=cast.ada, note="better")


def test_a_version_is_promoted(cast: Cast) -> None:
    version = make_version(cast, 1)
    assert promoted_version(cast.project) is None
    promotion = promote(cast, version, None)
    assert promoted_version(cast.project) == version
    assert (promotion.previous, promotion.by, promotion.note) == (None, cast.ada, "better")
    assert AuditEvent.objects.get(action="promote").detail["note"] == "better"


def test_a_promoted_version_is_not_promoted_again(cast: Cast) -> None:
    version = make_version(cast, 1)
    promote(cast, version, None)
    with pytest.raises(Conflict, match="promoted already"):
        promote(cast, version, version)


def test_a_decision_on_an_old_state_is_refused(cast: Cast) -> None:
    first, second, third = (make_version(cast, number) for number in (1, 2, 3))
    promote(cast, first, None)
    promote(cast, second, first)
    with pytest.raises(Conflict, match="version 2 is promoted now"):
        promote(cast, third, first)
    with pytest.raises(Conflict, match="version 2 is promoted now"):
        promote(cast, third, None)
    with pytest.raises(Conflict, match="version 2 is promoted now"):
        roll_back(version=first, by=cast.ada)


def test_roll_backs_go_back_one_by_one(cast: Cast) -> None:
    first, second, third = (make_version(cast, number) for number in (1, 2, 3))
    promote(cast, first, None)
    promote(cast, second, first)
    promote(cast, third, second)
    assert version_before(cast.project) == second
    assert roll_back(version=third, by=cast.ada).version == second
    assert roll_back(version=second, by=cast.ada).version == first
    with pytest.raises(Conflict, match="nothing to go back to"):
        roll_back(version=first, by=cast.ada)
    promote(cast, third, first)
    assert promoted_versions(cast.project) == [first, third]
    assert AuditEvent.objects.filter(action="roll_back").count() == 2


@pytest.mark.usefixtures("tiny_model_folder")
def test_the_round_in_the_making_is_of_one_piece(
    cast: Cast, snapshot: Snapshot, launch: Launch
) -> None:
    """A later run is not what made the version."""
    maker = launch("dpo")
    assert next_round(cast.project).run == maker
    first, second = (make_version(cast, number) for number in (1, 2))
    ModelVersion.objects.filter(pk=second.pk).update(run=maker)
    launch("kto")
    promote(cast, first, None)
    assert next_round(cast.project).promotion is None
    promotion = promote(cast, second, first)
    found = next_round(cast.project)
    assert (found.snapshot, found.run, found.version) == (snapshot, maker, second)
    assert found.promotion == promotion
    roll_back(version=second, by=cast.ada)
    assert next_round(cast.project).promotion is None


def test_the_next_rounds_version_is_one_that_could_be_promoted(cast: Cast, launch: Launch) -> None:
    """A reward model is none."""
    maker, scorer = launch("dpo"), launch("reward_bradley_terry")
    answering, scoring = (make_version(cast, number) for number in (1, 2))
    ModelVersion.objects.filter(pk=answering.pk).update(run=maker)
    lineage = {"method": scorer.method}
    ModelVersion.objects.filter(pk=scoring.pk).update(run=scorer, lineage=lineage)
    found = next_round(cast.project)
    assert (found.run, found.version) == (maker, answering)


def test_a_run_counts_for_the_next_round_on_whatever_snapshot_it_is(
    cast: Cast, launch: Launch, snapshot: Snapshot
) -> None:
    run = launch("dpo")
    newer = Snapshot.objects.create(
        project=cast.project, version=2, content_hash="0" * 64, manifest={}
    )
    found = next_round(cast.project)
    assert (found.snapshot, found.run) == (snapshot, run)
    run.delete()
    found = next_round(cast.project)
    assert (found.snapshot, found.run) == (newer, None)


def test_nothing_is_rolled_back_before_a_promotion(cast: Cast) -> None:
    with pytest.raises(Conflict, match="no version is promoted now"):
        roll_back(version=make_version(cast, 1), by=cast.ada)


@pytest.mark.django_db(transaction=True)
def test_of_two_promotions_at_once_one_wins() -> None:
    cast = make_cast()
    versions = [make_version(cast, number) for number in range(1, 7)]
    results = in_threads(6, lambda number: promote(cast, versions[number], None))
    assert sum(isinstance(result, Promotion) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 5
    assert Promotion.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_promotion_and_a_roll_back_at_once() -> None:
    cast = make_cast()
    first, second, third = (make_version(cast, number) for number in (1, 2, 3))
    promote(cast, first, None)
    promote(cast, second, first)
    acts = [
        lambda: promote(cast, third, second),
        lambda: roll_back(version=second, by=cast.ada),
        lambda: roll_back(version=second, by=cast.ada),
    ]
    results = in_threads(3, lambda number: acts[number]())
    assert sum(isinstance(result, Promotion) for result in results) == 1
    assert promoted_version(cast.project) in {first, third}
