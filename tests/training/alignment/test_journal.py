import json

import pytest

from training.alignment.journal import Journal


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path, active=True)
    for step in range(1, 6):
        if step % 2 == 1:
            journal.metrics(step - 1, 5, {"held_out_loss": 0.5})
        journal.metrics(step, 5, {"loss": float(step)})
    return journal


def told(journal):
    lines = journal.metrics_file.read_text().splitlines()
    return [(entry["step"], next(iter(entry["metrics"]))) for entry in map(json.loads, lines)]


def test_a_journal_makes_its_folder_where_it_writes(tmp_path):
    """In a notebook nobody else has made it before the loop is called."""
    Journal(tmp_path / "none", active=False)
    assert not (tmp_path / "none").exists()
    Journal(tmp_path / "runs" / "new", active=True).progress("loading", 0, 1)
    assert (tmp_path / "runs" / "new" / "progress.json").exists()


def test_rewinding_forgets_what_will_be_said_again(journal):
    journal.rewind(4)
    expected = [(0, "held_out_loss"), (1, "loss"), (2, "loss"), (2, "held_out_loss"), (3, "loss")]
    assert told(journal) == [*expected, (4, "loss")]


def test_rewinding_to_the_start_forgets_everything(journal):
    journal.rewind(-1)
    assert told(journal) == []


def test_a_line_that_a_crash_cut_short_is_forgotten(journal):
    with journal.metrics_file.open("a") as file:
        file.write('{"step": 5, "metr')
    journal.rewind(5)
    assert told(journal)[-1] == (5, "loss")
    whole = journal.metrics_file.read_text()
    journal.metrics_file.write_text(whole[:-1])
    journal.rewind(5)
    assert told(journal)[-1] != (5, "loss")


def test_progress_is_replaced_and_told(journal, capsys):
    journal.progress("training", 1, 5, "step 1/5")
    journal.progress("training", 2, 5)
    assert json.loads(journal.progress_file.read_text())["done"] == 2
    assert capsys.readouterr().out.endswith("step 1/5\n")


def test_other_processes_say_nothing(tmp_path, capsys):
    journal = Journal(tmp_path, active=False)
    journal.metrics(1, 5, {"loss": 1.0})
    journal.progress("training", 1, 5, "step 1/5")
    journal.rewind(0)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""
