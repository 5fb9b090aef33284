from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation.importers.rows import Problem
from annotation.models import (
    Annotator,
    Answer,
    Assignment,
    Generator,
    GoldAnswer,
    Item,
    Judge,
    Judgment,
    Kind,
    Project,
    Prompt,
    Response,
    Side,
)
from annotation.services.import_data import import_data
from annotation.services.project import create_project
from core.errors import PrefloopError
from tests.cast import Cast, make_project, make_user
from tests.real_data import real_data_folder

DEMO = Path(settings.BASE_DIR) / "annotation" / "demo" / "demo.jsonl"


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pair(number: int, **fields) -> dict[str, object]:
    return {"prompt": f"Question {number}?", "chosen": "Yes.", "rejected": "No.", **fields}


def totals() -> tuple[int, ...]:
    models = (Prompt, Response, Item, Assignment, Judgment, Answer, GoldAnswer, Annotator)
    return tuple(model.objects.count() for model in models)


def bring(project: Project, path: Path, name: str = "pairs", **fields):
    return import_data(project=project, format_name=name, path=path, **fields)


def test_good_rows_are_kept_and_bad_ones_told(cast: Cast, tmp_path: Path) -> None:
    path = write(tmp_path / "set.jsonl", pair(1), {"prompt": "x"}, pair(2), pair(3, chosen="No."))
    problems: list[Problem] = []
    report = bring(cast.project, path, actor=cast.rosa, on_problem=problems.append)
    assert (report.rows, report.imported, report.problems) == (4, 2, 2)
    assert [(one.row, one.field) for one in problems] == [(2, "chosen"), (4, "responses")]
    assert report.first_problems == problems
    assert (report.counts.prompts, report.counts.items, report.counts.judgments) == (2, 2, 2)


def test_a_win_goes_to_the_response_that_was_chosen(cast: Cast, tmp_path: Path) -> None:
    """Canonical order is by random uuid, so half of the answers are turned round on the way."""
    bring(cast.project, write(tmp_path / "set.jsonl", *(pair(i) for i in range(30))))
    signs = set()
    for answer in Answer.objects.select_related("judgment__assignment__item"):
        item = answer.judgment.assignment.item
        first = item.item_responses.get(position=0).response
        assert (answer.strength == 2) == (first.messages[0]["content"] == "Yes.")
        signs.add(answer.strength)
    assert signs == {2, -2}


def test_importing_twice_adds_nothing(cast: Cast, tmp_path: Path) -> None:
    path = write(tmp_path / "set.jsonl", *(pair(i) for i in range(5)))
    bring(cast.project, path)
    before = totals()
    report = bring(cast.project, path)
    assert totals() == before
    assert (report.counts.existing_items, report.counts.existing_judgments) == (5, 5)
    assert (report.counts.items, report.counts.prompts, report.counts.responses) == (0, 0, 0)


def test_the_same_row_twice_in_a_file_is_one(cast: Cast, tmp_path: Path) -> None:
    report = bring(cast.project, write(tmp_path / "set.jsonl", pair(1), pair(1)))
    assert (report.counts.items, report.counts.existing_items) == (1, 1)
    assert (report.counts.judgments, report.counts.existing_judgments) == (1, 1)


def test_two_projects_may_hold_the_same_file(cast: Cast, tmp_path: Path) -> None:
    path = write(tmp_path / "set.jsonl", pair(1))
    bring(cast.project, path)
    assert bring(make_project(), path).counts.judgments == 1
    assert Annotator.objects.count() == 1


def test_a_dry_run_tells_the_same_and_keeps_nothing(cast: Cast, tmp_path: Path) -> None:
    path = write(tmp_path / "set.jsonl", pair(1), {}, pair(2))
    before = totals()
    dry = bring(cast.project, path, dry_run=True, batch_rows=1)
    assert totals() == before
    assert not Generator.objects.exists()
    assert cast.project.protocol.frozen_at is None
    assert dry.counts == bring(cast.project, path).counts


def test_judged_items_are_closed_unless_they_are_to_stay_open(cast: Cast, tmp_path: Path) -> None:
    bring(cast.project, write(tmp_path / "a.jsonl", pair(1)))
    assert not Item.objects.get().is_open
    bring(cast.project, write(tmp_path / "b.jsonl", pair(2)), keep_open=True)
    item = Item.objects.latest("pk")
    assert (item.is_open, item.open_slots) == (True, item.overlap)


def own(prompt: str, texts: list[str], **fields) -> dict[str, object]:
    responses = [{"generator": f"g{i}", "text": text} for i, text in enumerate(texts)]
    return {"prompt": prompt, "responses": responses, **fields}


def test_the_report_counts_closed_items_by_the_judgments_on_them(
    cast: Cast, tmp_path: Path
) -> None:
    """In whatever rows and batches the judgments of an item came."""
    one = {
        "prompt": "How?",
        "responses": [{"generator": name, "text": name} for name in ("a", "b")],
    }
    given = [
        [{"annotator": "w1", "winner": 0}],
        [{"annotator": "w2", "winner": 1}, {"judge": "gpt", "winner": 0}],
    ]
    both = [{**one, "judgments": judgments} for judgments in given]
    single = {**both[0], "prompt": "Where?"}
    gold = {**both[0], "prompt": "When?", "gold": {"winner": 0}}
    path = write(tmp_path / "set.jsonl", *both, single, gold, {**one, "prompt": "Who?"})
    report = bring(cast.project, path, "jsonl", batch_rows=1, hide_gold=True)
    assert report.as_json()["closed"] == [
        {"kind": "pairwise", "people": 1, "judge_ids": [], "items": 1},
        {"kind": "pairwise", "people": 2, "judge_ids": [Judge.objects.get().pk], "items": 1},
    ]
    assert not bring(cast.project, path, "jsonl", dry_run=True).closed
    assert not bring(cast.project, path, "jsonl", label="open", keep_open=True).closed


def test_rows_without_judgments_wait_in_the_queue(cast: Cast, tmp_path: Path) -> None:
    rows = [own("A?", ["x", "y"]), own("B?", []), own("C?", ["x", "y", "z"]), own("D?", ["x"])]
    report = bring(cast.project, write(tmp_path / "a.jsonl", *rows), "jsonl")
    assert (report.counts.prompts, report.counts.items) == (4, 3)
    kinds = Item.objects.filter(is_open=True).order_by("pk").values_list("kind", flat=True)
    assert sorted(kinds) == sorted(Kind.values)


def test_equal_texts_take_no_judgments_and_lists_close_up(cast: Cast, tmp_path: Path) -> None:
    vote = {"annotator": "w"}
    rows = [
        own("A?", ["x", "x"], judgments=[{**vote, "winner": 0}]),
        own("B?", ["x", "y", "x"], judgments=[{**vote, "ranks": [2, 3, 1], "acceptable_to": 2}]),
        own("C?", ["x", "x", "x"], judgments=[{**vote, "ranks": [1, 1, 1]}]),
    ]
    counts = bring(cast.project, write(tmp_path / "a.jsonl", *rows), "jsonl").counts
    assert (counts.identical_items, counts.identical_judgments) == (1, 1)
    assert (counts.shortened_lists, counts.refused_lists, counts.judgments) == (1, 1, 1)
    answer = Answer.objects.get()
    item = answer.judgment.assignment.item
    by_text = {
        one.response.messages[0]["content"]: answer.ranks[one.position]  # type: ignore[index]
        for one in item.item_responses.all()
    }
    assert by_text == {"x": 1, "y": 2}
    assert answer.acceptable_to == 1


def test_gold_comes_in_canonical_order_once(cast: Cast, tmp_path: Path) -> None:
    rows = [own(f"Q{i}?", ["good", "bad"], gold={"winner": 0}) for i in range(20)]
    path = write(tmp_path / "a.jsonl", *rows)
    assert bring(cast.project, path, "jsonl").counts.gold == 20
    assert bring(cast.project, path, "jsonl").counts.gold == 0
    for gold in GoldAnswer.objects.select_related("item"):
        first = gold.item.item_responses.get(position=0).response.messages[0]["content"]
        assert gold.expected == {"strength": 2 if first == "good" else -2}


def test_rows_with_a_known_answer_become_hidden_gold_when_asked(cast: Cast, tmp_path: Path) -> None:
    known = own("A?", ["good", "bad"], gold={"winner": 0})
    path = write(tmp_path / "a.jsonl", known, own("B?", ["x", "y"]))
    assert bring(cast.project, path, "jsonl").counts.hidden_gold == 0
    assert not Item.objects.filter(is_gold=True).exists()
    Item.objects.update(held_at=timezone.now(), skips=3)
    assert bring(cast.project, path, "jsonl", hide_gold=True).counts.hidden_gold == 1
    item = Item.objects.get(is_gold=True)
    assert item.gold_answers.exists()
    # Held items are not handed out, gold or not.
    assert (item.is_open, item.held_at, item.skips) == (False, None, 0)
    assert bring(cast.project, path, "jsonl", hide_gold=True).counts.hidden_gold == 0


def test_what_the_project_does_not_collect_is_refused(cast: Cast, tmp_path: Path) -> None:
    vote = {"annotator": "w", "criterion": "truth", "winner": 0}
    path = write(tmp_path / "a.jsonl", own("A?", ["x", "y"], judgments=[vote]))
    report = bring(cast.project, path, "jsonl")
    assert report.first_problems[0].field == "judgments[0]"
    cast.project.protocols.update(kinds=["thumbs"])
    assert bring(cast.project, path, "jsonl").first_problems[0].field == "kind"
    with pytest.raises(PrefloopError, match="pairwise"):
        bring(cast.project, write(tmp_path / "b.jsonl", pair(1)))
    cast.project.protocols.update(kinds=Kind.values)
    with pytest.raises(PrefloopError, match="correctness"):
        bring(cast.project, tmp_path, "squality")


def test_ranks_beyond_the_list_are_told(cast: Cast, tmp_path: Path) -> None:
    vote = {"annotator": "w", "ranks": [1, 2]}
    path = write(tmp_path / "a.jsonl", own("A?", ["x", "y", "z"], judgments=[vote]))
    assert bring(cast.project, path, "jsonl").first_problems[0].field == "judgments[0]"


def test_it_asks_no_more_for_many_rows_than_for_few(
    cast: Cast, tmp_path: Path, django_assert_max_num_queries
) -> None:
    path = write(tmp_path / "set.jsonl", *(pair(i) for i in range(60)))
    with django_assert_max_num_queries(45):
        bring(cast.project, path)


def test_the_demo_can_be_imported_and_frozen(cast: Cast) -> None:
    report = bring(cast.project, DEMO, "jsonl")
    assert report.problems == 0
    assert report.imported >= 40
    judged = Item.objects.filter(assignments__isnull=False)
    assert {Side.TRAIN, Side.HELD_OUT} <= set(judged.values_list("prompt__side", flat=True))
    assert set(judged.values_list("kind", flat=True)) == set(Kind.values)
    assert Item.objects.filter(is_open=True).count() >= 15


# In a process of its own: it dies in the middle of its third batch.
DIES = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    import django
    django.setup()
    from annotation.models import Project
    from annotation.services import import_batch, import_data
    record, calls = import_batch.record_judgments, []
    def dying(**given):
        calls.append(given)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return record(**given)
    import_batch.record_judgments = dying
    import_data.import_data(
        project=Project.objects.get(), format_name="pairs", path=Path(sys.argv[1]), batch_rows=10
    )
    """
)


@pytest.mark.django_db(transaction=True)
def test_a_crash_leaves_whole_batches_and_a_rerun_completes(
    process_environment: dict[str, str], tmp_path: Path
) -> None:
    project = make_project()
    path = write(tmp_path / "set.jsonl", *(pair(i) for i in range(35)))
    died = subprocess.run(
        [sys.executable, "-c", DIES, str(path)],
        env=process_environment, cwd=settings.BASE_DIR, check=False, timeout=120,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL
    assert totals()[:6] == (20, 40, 20, 20, 20, 20)
    report = bring(project, path)
    assert (report.counts.items, report.counts.existing_items) == (15, 20)
    assert totals()[:6] == (35, 70, 35, 35, 35, 35)


def command(*words: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("import_data", *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_makes_a_project_and_reports(db: None, tmp_path: Path) -> None:
    make_user("rosa", can_create_projects=True)
    path = write(tmp_path / "set.jsonl", pair(1), {}, pair(2))
    problems = tmp_path / "problems.txt"
    words = ["--create-project", "Pairs", "--as", "ROSA", "--format", "pairs", str(path)]
    out, err = command(*words, "--errors", str(problems))
    assert "2 of 3 rows imported" in out
    assert "row 2, field chosen: is missing" in err
    assert problems.read_text() == "row 2, field chosen: is missing\n"
    assert Project.objects.get().protocol.kinds == ["pairwise"]
    out, err = command(*words)
    assert "has this name already" in err
    assert "2  items were there already" in out


def test_the_command_finds_projects_by_number_and_name(cast: Cast, tmp_path: Path) -> None:
    path = str(write(tmp_path / "set.jsonl", pair(1)))
    for wanted in (str(cast.project.pk), cast.project.name):
        assert (
            "would be imported"
            in command("--project", wanted, "--format", "pairs", "--dry-run", path)[0]
        )
    make_project(name=cast.project.name)
    with pytest.raises(CommandError, match="Several projects"):
        command("--project", cast.project.name, "--format", "pairs", path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--project", "none", "--format", "pairs", "{path}"], "No project"),
        (["--create-project", "P", "--format", "pairs", "{path}"], "--as"),
        (["--create-project", "P", "--as", "x", "--format", "pairs", "{path}"], "no user"),
        (["--project", "1", "--format", "pairs", "nowhere.jsonl"], "does not exist"),
        (["--project", "1", "--format", "xml", "{path}"], "invalid choice"),
    ],
)
def test_the_command_says_what_is_wrong(db: None, tmp_path: Path, words, said: str) -> None:
    path = str(write(tmp_path / "set.jsonl", pair(1)))
    with pytest.raises(CommandError, match=said):
        command(*[word.replace("{path}", path) for word in words])


def real_project(name: str, **fields) -> Project:
    rosa = make_user("rosa", can_create_projects=True)
    criteria = [{"key": "overall", "name": "Overall"}]
    return create_project(
        creator=rosa, name=name, **{"kinds": ["pairwise"], "criteria": criteria, **fields}
    )


def test_llmfao_comes_in_faithfully(db: None) -> None:
    folder = real_data_folder() / "llmfao"
    project = real_project("llmfao")
    counts = bring(project, folder, "llmfao").counts
    assert (counts.prompts, counts.responses, counts.items) == (13, 750, 2139)
    assert counts.judgments == 8931 + 2 * 2139
    people = Annotator.objects.filter(source="llmfao")
    assert people.count() == 124
    assert Answer.objects.filter(judgment__assignment__annotator__in=people).count() == 8931
    votes = Answer.objects.filter(
        judgment__assignment__annotator__in=people,
        judgment__assignment__item__external_id="llmfao:2",
    )
    as_listed = [
        (answer.strength or 0) * (1 if answer.judgment.assignment.shown_order[0] == 0 else -1)
        for answer in votes.select_related("judgment__assignment")
    ]
    # The file has three votes for the left one and two ties on pair 2.
    assert sorted(as_listed) == [0, 0, 2, 2, 2]


def test_one_text_of_several_models_is_several_responses(db: None) -> None:
    bring(real_project("llmfao"), real_data_folder() / "llmfao", "llmfao")
    by_text: dict[tuple[int, str], set[int]] = {}
    for prompt, text, generator in Response.objects.values_list(
        "prompt_id", "content_hash", "generator_id"
    ):
        by_text.setdefault((prompt, text), set()).add(generator)
    assert len(by_text) == 682
    assert sum(len(generators) > 1 for generators in by_text.values()) == 34


def test_pandalm_comes_in_faithfully(db: None) -> None:
    folder = real_data_folder() / "pandalm"
    counts = bring(real_project("pandalm"), folder, "pandalm").counts
    assert (counts.prompts, counts.items) == (170, 999)
    people = Annotator.objects.filter(source="pandalm")
    answers = Answer.objects.filter(judgment__assignment__annotator__in=people)
    assert (people.count(), answers.count(), answers.filter(strength=0).count()) == (3, 2997, 326)
    # 25 of GPT-3.5's replies could not be understood, so there is no verdict to keep.
    assert counts.judgments == 2997 + 999 - 25 + 999


def test_squality_comes_in_faithfully(db: None) -> None:
    keys = ("overall", "correctness", "selection")
    project = real_project(
        "squality", kinds=["listwise"], criteria=[{"key": key, "name": key} for key in keys]
    )
    counts = bring(project, real_data_folder() / "squality", "squality").counts
    assert (counts.items, counts.judgments) == (100, 300)
    assert Annotator.objects.filter(source="squality").count() == 4
    for answer in Answer.objects.filter(criterion="overall")[:20]:
        assert sorted(answer.ranks or []) == [1, 2, 3]


def test_hhh_alignment_comes_in_as_gold(db: None) -> None:
    folder = real_data_folder() / "hhh_alignment"
    counts = bring(real_project("hhh"), folder, "hhh_alignment").counts
    assert (counts.items, counts.gold, counts.judgments) == (221, 221, 0)
    assert not Item.objects.filter(is_open=False).exists()
