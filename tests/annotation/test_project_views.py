from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotation.access import Capability, load_project
from annotation.answers import AnswerValue
from annotation.models import Item, Membership, Project
from annotation.services.annotator import annotator_for_worker
from annotation.services.judgment_import import NewJudgment, record_judgments
from core.errors import NotAllowed
from core.models import User
from tests.cast import Cast, make_item, make_project

PEOPLE = ("mallory", "bob", "rita", "rosa", "mary", "ada")
OPEN = dict.fromkeys(PEOPLE[1:], 200) | {"mallory": 404}
RESEARCH = {"mallory": 404, "bob": 403, "rita": 403, "rosa": 200, "mary": 200, "ada": 200}
MANAGE = RESEARCH | {"rosa": 403}
PAGES = {
    "project": OPEN,
    "items": RESEARCH,
    "item": RESEARCH,
    "import": RESEARCH,
    "people": MANAGE,
    "settings": MANAGE,
}
ACTIONS = {
    "item-close": RESEARCH,
    "item-reopen": RESEARCH,
    "item-ask-more": RESEARCH,
    "protocol": MANAGE,
    "person-add": MANAGE,
    "person-role": MANAGE,
    "person-pause": MANAGE,
    "person-restore": MANAGE,
    "person-remove": MANAGE,
}


def sign_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def url(cast: Cast, name: str, *args: int) -> str:
    return reverse(f"annotation:{name}", args=[cast.project.pk, *args])


def path(cast: Cast, name: str) -> str:
    item = Item.objects.filter(project=cast.project).first() or make_item(cast.project)
    if name.startswith("item") and name != "items":
        return url(cast, name, item.pk)
    return url(
        cast, name, *([cast.bob.pk] if name.startswith("person-") and name != "person-add" else [])
    )


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_for_those_who_may_see_it(cast: Cast, name: str, who: str) -> None:
    page = sign_in(getattr(cast, who)).get(path(cast, name))
    assert page.status_code == PAGES[name][who]


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_is_for_those_who_may_do_it(cast: Cast, name: str, who: str) -> None:
    reply = sign_in(getattr(cast, who)).post(path(cast, name), {"role": "labeler"})
    expected = ACTIONS[name][who]
    assert (
        reply.status_code == expected if expected != 200 else reply.status_code in (302, 409, 422)
    )
    assert sign_in(getattr(cast, who)).get(path(cast, name)).status_code in (405, 403, 404)


def new_project(**fields) -> dict[str, object]:
    return {
        "name": "Poems", "description": "", "overlap": "3", "kinds": ["pairwise"],
        "reasons": "clear\n\nkind", "guidelines": "# Read",
        "criteria-TOTAL_FORMS": "2", "criteria-INITIAL_FORMS": "0",
        "criteria-0-name": "Overall", "criteria-0-definition": "Which?", "criteria-1-name": "",
        **fields,
    }  # fmt: skip


def test_who_may_not_is_told_whom_to_ask(cast: Cast) -> None:
    """No manager can grant what admins alone may do."""
    with pytest.raises(NotAllowed, match=r"Only admins of this instance may train .* Ask one\."):
        load_project(cast.mary, cast.project.pk, Capability.TRAIN)
    with pytest.raises(NotAllowed, match=r"for researchers and managers of .* Ask a manager"):
        load_project(cast.lena, cast.project.pk, Capability.RESEARCH)


def test_a_project_is_made_from_the_form(cast: Cast) -> None:
    User.objects.filter(pk=cast.rosa.pk).update(can_create_projects=True)
    client = sign_in(cast.rosa)
    assert client.get(reverse("annotation:new-project")).status_code == 200
    reply = client.post(reverse("annotation:new-project"), new_project())
    project = Project.objects.get(name="Poems")
    assert reply["Location"] == reverse("annotation:project", args=[project.pk])
    protocol = project.protocol
    assert protocol.criteria == [{"key": "overall", "name": "Overall", "definition": "Which?"}]
    assert (protocol.reasons, protocol.guidelines) == (["clear", "kind"], "# Read")
    page = client.get(reply["Location"]).content.decode()
    assert "Nothing to judge yet" in page


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "required"),
        ({"kinds": []}, "Choose at least one"),
        ({"overlap": "0"}, "greater than or equal to 1"),
        ({"criteria-0-name": ""}, "Name 1 to 10 criteria"),
        ({"criteria-1-name": "overall"}, "same key"),
        ({"reasons": "x" * 61}, "60 characters"),
    ],
)
def test_a_project_that_makes_no_sense_is_shown_again(cast: Cast, fields, words: str) -> None:
    page = sign_in(cast.ada).post(reverse("annotation:new-project"), new_project(**fields))
    assert page.status_code == 422
    assert words in page.content.decode()
    assert not Project.objects.filter(name="Poems").exists()


def test_who_may_not_create_projects_is_told(cast: Cast) -> None:
    client = sign_in(cast.bob)
    assert client.get(reverse("annotation:new-project")).status_code == 403
    assert client.post(reverse("annotation:new-project"), new_project()).status_code == 403


def test_settings_and_protocol_are_saved_apart(cast: Cast) -> None:
    client = sign_in(cast.mary)
    given = {
        "name": "Better", "description": "", "overlap": "4", "lease_seconds": "60",
        "skip_limit": "2",
    }  # fmt: skip
    assert client.post(url(cast, "settings"), given).status_code == 302
    cast.project.refresh_from_db()
    assert (cast.project.name, cast.project.overlap) == ("Better", 4)
    assert client.post(url(cast, "settings"), {**given, "overlap": "99"}).status_code == 422
    kept = new_project(**{"criteria-0-key": "overall", "criteria-0-name": "All in all"})
    assert client.post(url(cast, "protocol"), kept).status_code == 302
    assert cast.project.protocol.criteria[0]["key"] == "overall"


def test_guidelines_are_previewed_as_safe_markdown(cast: Cast) -> None:
    given = {"guidelines": "**Read** <script>alert(1)</script>"}
    page = sign_in(cast.rosa).post(reverse("annotation:preview"), given).content.decode()
    assert "<strong>Read</strong>" in page
    assert "<script>" not in page


def judge(item: Item) -> None:
    worker = annotator_for_worker(source="set", external_id="7")
    given = NewJudgment(
        item=item, annotator=worker, answers={"overall": AnswerValue(strength=3)},
        shown_order=(0, 1), comment="Much clearer.",
    )  # fmt: skip
    record_judgments(project=item.project, judgments=[given])


def test_an_item_shows_who_wrote_and_who_answered(cast: Cast) -> None:
    item = make_item(cast.project)
    judge(item)
    page = sign_in(cast.rosa).get(url(cast, "item", item.pk)).content.decode()
    for words in ("model a", "model b", "A much better", "Much clearer.", "annotator "):
        assert words in page


def test_another_projects_item_is_not_found(cast: Cast) -> None:
    item = make_item(make_project())
    client = sign_in(cast.ada)
    assert client.get(url(cast, "item", item.pk)).status_code == 404
    assert client.post(url(cast, "item-close", item.pk)).status_code == 404


def test_items_are_filtered_by_kind_and_state(cast: Cast) -> None:
    make_item(cast.project)
    make_item(cast.project, kind="thumbs", closed_at="2026-01-01T00:00Z")
    client = sign_in(cast.rosa)
    for query, count in [("", 2), ("?kind=thumbs", 1), ("?state=open", 1), ("?state=held", 0)]:
        page = client.get(url(cast, "items") + query).content.decode()
        assert f"{count} item" in page
    assert client.get(url(cast, "items") + "?kind=<x>&page=99").status_code == 200


def test_lists_ask_no_more_for_many_than_for_few(cast: Cast, django_assert_max_num_queries) -> None:
    for _ in range(12):
        judge(make_item(cast.project))
        make_project()
    for client, name, most in [
        (sign_in(cast.rosa), url(cast, "items"), 10),
        (sign_in(cast.ada), reverse("annotation:projects"), 8),
        (sign_in(cast.mary), url(cast, "people"), 9),
        (sign_in(cast.rosa), url(cast, "project"), 14),
        (sign_in(cast.rosa), reverse("annotation:home-projects"), 7),
    ]:
        with django_assert_max_num_queries(most):
            assert client.get(name).status_code == 200


def test_home_shows_projects_to_those_who_research(cast: Cast) -> None:
    path = reverse("annotation:home-projects")
    assert str(cast.project) in sign_in(cast.rosa).get(path).content.decode()
    assert sign_in(cast.bob).get(path).content.decode().strip() == ""


def test_one_sees_only_projects_one_is_in(cast: Cast) -> None:
    path = reverse("annotation:projects")
    assert str(cast.project) in sign_in(cast.bob).get(path).content.decode()
    assert str(cast.project) not in sign_in(cast.mallory).get(path).content.decode()


def test_a_person_is_added_paused_restored_and_removed(cast: Cast) -> None:
    client = sign_in(cast.mary)
    client.post(url(cast, "person-add"), {"username": "MALLORY", "role": "reviewer"})
    member = Membership.objects.get(project=cast.project, user=cast.mallory)
    assert member.role == "reviewer"
    client.post(url(cast, "person-pause", cast.mallory.pk), {"reason": "A talk first"})
    assert "A talk first" in client.get(url(cast, "people")).content.decode()
    for action, state in [("restore", "active"), ("remove", "left")]:
        client.post(url(cast, f"person-{action}", cast.mallory.pk))
        member.refresh_from_db()
        assert member.state == state
    unknown = client.post(url(cast, "person-add"), {"username": "nobody", "role": "labeler"})
    assert unknown.status_code == 422
    assert "no active account" in unknown.content.decode()


def test_the_only_manager_is_told_why_they_stay(cast: Cast) -> None:
    reply = sign_in(cast.mary).post(url(cast, "person-remove", cast.mary.pk))
    assert reply.status_code == 409
    assert "only manager" in reply.content.decode()
