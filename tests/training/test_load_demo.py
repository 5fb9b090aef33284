"""The demo project: made once, its passwords for its owner's eyes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from annotation.models import Item, Membership, Project, Prompt
from core.models import Job, User
from feedback.services import freeze_snapshot
from tests.cast import make_user
from training.selectors.training_data import usable_methods

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, settings: object) -> Path:
    settings.DATA_DIR = tmp_path  # type: ignore[attr-defined]
    return tmp_path


def sign_ins(folder: Path) -> dict[str, str]:
    lines = (folder / "demo-passwords.txt").read_text().splitlines()
    return {line.split()[0]: line.split()[1] for line in lines}


def test_three_people_can_sign_in_and_work(data_dir: Path) -> None:
    call_command("load_demo", verbosity=0)
    project = Project.objects.get(is_demo=True)
    passwords = sign_ins(data_dir)
    assert set(passwords) == {"labeler", "researcher", "admin"}
    people = {name: User.objects.get(username=name) for name in passwords}
    assert all(people[name].check_password(word) for name, word in passwords.items())
    assert stat.S_IMODE((data_dir / "demo-passwords.txt").stat().st_mode) == 0o600
    assert User.objects.get(username="admin").is_admin
    assert User.objects.get(username="researcher").may_create_projects
    roles = dict(Membership.objects.values_list("user__username", "role"))
    assert roles == {"labeler": "labeler", "researcher": "manager"}
    assert Prompt.objects.filter(project=project).count() >= 35
    assert set(Item.objects.filter(is_open=True).values_list("kind", flat=True)) == {
        "pairwise", "listwise", "thumbs",
    }  # fmt: skip
    assert set(Job.objects.values_list("kind", flat=True)) >= {
        "ensure_base_model", "sample_responses",
    }  # fmt: skip


def test_its_judgments_can_be_frozen_and_trained_on(data_dir: Path) -> None:
    call_command("load_demo", verbosity=0)
    project = Project.objects.get(is_demo=True)
    snapshot = freeze_snapshot(project=project, created_by=None)
    offered = {method.name for method in usable_methods(snapshot)}
    assert offered >= {"dpo", "kto", "sft", "grpo"}


def test_loading_it_again_changes_nothing(data_dir: Path) -> None:
    call_command("load_demo", verbosity=0)
    before = (sign_ins(data_dir), Item.objects.count(), Job.objects.count())
    call_command("load_demo", verbosity=0)
    assert (sign_ins(data_dir), Item.objects.count(), Job.objects.count()) == before
    assert Project.objects.count() == 1


def test_an_instance_with_people_of_its_own_gets_no_demo(data_dir: Path) -> None:
    make_user("ada", is_admin=True)
    call_command("load_demo", verbosity=0)
    assert not Project.objects.exists()
    assert not (data_dir / "demo-passwords.txt").exists()


def test_the_content_is_part_of_the_source() -> None:
    assert (settings.BASE_DIR / "annotation/demo/demo.jsonl").exists()
