from __future__ import annotations

import pytest

from annotation.models import Membership, Project
from annotation.services.project import create_project, key_of, revise_protocol, update_project
from core.errors import Conflict, NotAllowed, PrefloopError
from core.models import AuditEvent
from tests.cast import CRITERIA, Cast, make_user
from tests.races import in_threads


def create(creator, **fields) -> Project:
    given = {"name": "Poems", "kinds": ["pairwise"], "criteria": CRITERIA, **fields}
    return create_project(creator=creator, **given)


def test_its_creator_becomes_manager_of_a_first_protocol(db: None) -> None:
    rosa = make_user("rosa", can_create_projects=True)
    project = create(rosa, name=" Poems ", kinds=["thumbs", "pairwise"], reasons=["clear", "clear"])
    assert project.name == "Poems"
    assert (project.protocol.version, project.protocol.frozen_at) == (1, None)
    assert project.protocol.kinds == ["thumbs", "pairwise"]
    assert project.protocol.reasons == ["clear"]
    membership = Membership.objects.get(project=project)
    assert (membership.user, membership.role) == (rosa, Membership.Role.MANAGER)
    assert AuditEvent.objects.get(action="create_project").project_id == project.pk


def test_who_may_not_create_projects_does_not(db: None) -> None:
    with pytest.raises(NotAllowed):
        create(make_user("bob"))
    assert not Project.objects.exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"overlap": 0}, "overlap"),
        ({"overlap": 51}, "overlap"),
        ({"kinds": []}, "kind"),
        ({"kinds": ["sideways"]}, "kind"),
        ({"criteria": []}, "criteria"),
        ({"criteria": [{"name": ""}]}, "name"),
        ({"criteria": [{"name": "Right", "key": "1st"}]}, "key"),
        ({"criteria": [{"name": "Right"}, {"name": "right"}]}, "same key"),
        ({"reasons": ["x" * 61]}, "reasons"),
    ],
)
def test_what_makes_no_sense_is_refused(db: None, fields, words: str) -> None:
    with pytest.raises(PrefloopError, match=words):
        create(make_user("rosa", can_create_projects=True), **fields)
    assert not Project.objects.exists()


def test_a_criterion_is_known_by_a_key_made_of_its_name() -> None:
    assert key_of("Factually correct!") == "factually_correct"


def test_settings_change_and_are_audited(cast: Cast) -> None:
    update_project(project=cast.project, actor=cast.mary, name="Better answers", overlap=4)
    assert (cast.project.name, cast.project.overlap) == ("Better answers", 4)
    changed = AuditEvent.objects.get(action="update_project").detail["changed"]
    assert changed == {"name": "Better answers", "overlap": 4}


def test_changing_nothing_leaves_no_trace(cast: Cast) -> None:
    update_project(project=cast.project, actor=cast.mary, name=cast.project.name)
    assert not AuditEvent.objects.filter(action="update_project").exists()


def test_unknown_and_impossible_settings_are_refused(cast: Cast) -> None:
    with pytest.raises(PrefloopError, match="is_demo"):
        update_project(project=cast.project, actor=cast.mary, is_demo=True)
    with pytest.raises(PrefloopError, match="lease_seconds"):
        update_project(project=cast.project, actor=cast.mary, lease_seconds=1)


def revise(cast: Cast, guidelines: str):
    return revise_protocol(
        project=cast.project,
        actor=cast.mary,
        guidelines=guidelines,
        kinds=["pairwise"],
        criteria=CRITERIA,
    )


def test_a_protocol_nobody_judged_by_is_changed_in_place(cast: Cast) -> None:
    assert revise(cast, "Read both.").version == 1
    assert cast.project.protocols.get().guidelines == "Read both."


def test_a_frozen_protocol_gets_a_new_version(cast: Cast) -> None:
    before = cast.project.protocol
    before.frozen_at = before.created_at
    before.save()
    assert revise(cast, "Read both twice.").version == 2
    before.refresh_from_db()
    assert before.guidelines == ""
    assert cast.project.protocol.version == 2


def test_revising_to_the_same_makes_no_version(cast: Cast) -> None:
    first = revise(cast, "Read both.")
    first.frozen_at = first.created_at
    first.save()
    assert revise(cast, "Read both.") == first


@pytest.mark.django_db(transaction=True)
def test_two_revisions_at_once_make_two_versions() -> None:
    project = create(make_user("rosa", can_create_projects=True))
    project.protocols.update(frozen_at=project.created_at)

    def act(number: int) -> int:
        return revise_protocol(
            project=project,
            actor=project.created_by,
            guidelines=f"Version {number}",
            kinds=["pairwise"],
            criteria=CRITERIA,
        ).version

    # The second edits what the first has just made, since nobody has judged by that yet.
    assert in_threads(3, act) == [2, 2, 2]
    assert project.protocols.count() == 2


def test_two_criteria_with_one_key_are_a_conflict(cast: Cast) -> None:
    with pytest.raises(Conflict):
        revise_protocol(
            project=cast.project,
            actor=cast.mary,
            guidelines="",
            kinds=["pairwise"],
            criteria=[*CRITERIA, *CRITERIA],
        )
