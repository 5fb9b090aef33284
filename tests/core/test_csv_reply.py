"""A spreadsheet must not run what somebody named a judge."""

from __future__ import annotations

import csv

import pytest

from core.csv_reply import csv_reply, safe_cell


@pytest.mark.parametrize(
    "words", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", '=HYPERLINK("x")']
)
def test_words_are_never_a_formula(words: str) -> None:
    assert safe_cell(words) == f"'{words}"


@pytest.mark.parametrize("cell", [-0.25, -3, 0, None, True, "gpt-4", "a=b", "", "95 %"])
def test_numbers_and_plain_words_stay(cell: object) -> None:
    assert safe_cell(cell) is cell  # type: ignore[arg-type]


def test_the_download() -> None:
    reply = csv_reply("x.csv", ["name", "value"], [["=cmd|' /C calc'!A0", -0.5], ["a,\nb", None]])
    assert reply["Content-Disposition"] == 'attachment; filename="x.csv"'
    rows = list(csv.reader(reply.content.decode().splitlines(keepends=True)))
    assert rows == [["name", "value"], ["'=cmd|' /C calc'!A0", "-0.5"], ["a,\nb", ""]]
