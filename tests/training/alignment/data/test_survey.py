"""What a file could be used for."""

from tests.training.alignment.tiny import assistant, user, write_lines
from training.alignment.data.__main__ import main
from training.alignment.data.survey import survey

PAIR = {"prompt": user("p"), "chosen": assistant("c"), "rejected": assistant("r")}
LIST = {"prompt": "p", "completions": ["a", "b", "c"], "ranks": [1, 2, 3]}


def test_what_there_is_and_what_could_be_made_of_it(tmp_path):
    lines = [PAIR, {**PAIR, "probability": 0.5}, LIST, {"text": "x"}]
    found = survey(write_lines(tmp_path / "rows.jsonl", lines))
    assert found.rows == {"pairs": 2, "lists": 1}
    assert found.convertible == {"pairs": 3, "binary": 2, "demonstrations": 2, "prompts": 2}
    assert (found.report.rows, found.report.bad_rows) == (4, 1)


def test_the_command_names_methods_and_bad_rows(tmp_path, capsys):
    path = write_lines(tmp_path / "rows.jsonl", [PAIR, {**PAIR, "chosen": ""}])
    assert main([str(path)]) == 0
    told = capsys.readouterr().out
    assert "rows.jsonl: 2 rows, 1 of them cannot be used" in told
    assert "pairs: 1; feeds dpo, " in told
    assert "rows.jsonl, row 2: field 'chosen'" in told


def test_the_command_names_what_it_does_not_read(tmp_path, capsys):
    answer = [{**assistant("c")[0], "reasoning_content": "because"}]
    path = write_lines(tmp_path / "rows.jsonl", [{"messages": [*user("p"), *answer]}])
    assert main([str(path)]) == 0
    words = "messages of the assistant whose field 'reasoning_content' is not read: in 1 rows"
    assert words in capsys.readouterr().out


def test_the_command_fails_where_nothing_can_be_used(tmp_path, capsys):
    assert main([str(tmp_path / "nothing.jsonl")]) == 1
    assert "no such file or folder" in capsys.readouterr().err


def test_a_row_of_another_kind_than_the_others_is_named(tmp_path, capsys):
    """A pair without its answers is a prompt, which nobody may have meant."""
    path = write_lines(tmp_path / "rows.jsonl", [PAIR, {"prompt": "x"}, PAIR, {"text": "x"}])
    (odd,) = survey(path).odd
    assert (odd.row, survey(path).rows) == (2, {"pairs": 2, "prompts": 1})
    assert main([str(path)]) == 0
    _, told = capsys.readouterr().out.split("mixed: ")
    assert (
        "row 2: has the shape of prompts data, but the method needs pairs: add the fields " in told
    )
    assert "'chosen' and 'rejected'" in told
    assert "row 4" not in told


def test_rows_of_one_kind_are_not_called_mixed(tmp_path, capsys):
    path = write_lines(tmp_path / "rows.jsonl", [PAIR, PAIR, {"text": "x"}])
    assert main([str(path)]) == 0
    assert "mixed" not in capsys.readouterr().out
