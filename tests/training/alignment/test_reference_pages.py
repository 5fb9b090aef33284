"""The committed method reference is the one that the registry gives."""

import subprocess
import sys
from pathlib import Path

import pytest

from core.mathml import mathml
from training.alignment.methods import methods
from training.alignment.option_words import bounds
from training.alignment.reference_pages import needs, notation, pages, settings, write

DOCS = Path(__file__).parents[3] / "docs" / "methods"
REWRITE = "run: python -m training.alignment.reference_pages docs/methods"


@pytest.mark.parametrize("name", pages())
def test_the_committed_page_is_the_generated_one(name):
    path = DOCS / name
    assert path.is_file(), REWRITE
    assert path.read_text(encoding="utf-8") == pages()[name], REWRITE


def test_no_page_is_left_of_a_method_that_is_gone(tmp_path):
    assert {path.name for path in DOCS.glob("*.md")} == set(pages()), REWRITE
    (tmp_path / "gone.md").write_text("old")
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(pages())


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.name)
def test_a_page_says_all_that_the_entry_says(method):
    text = pages()[f"{method.name}.md"]
    said = (method.title, method.summary, method.formula, method.when, method.evidence)
    listed = (*needs(method), *method.pitfalls, *method.conventions, method.paper, method.url)
    helps = [part for one in settings(method) for part in (one.name, one.help, bounds(one))]
    assert all(words in text for words in (*said, *listed, *helps))


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.name)
def test_every_formula_and_symbol_becomes_mathml(method):
    formulas = [method.formula, *(latex for latex, _ in notation(method))]
    drawn = [mathml(latex, "block") for latex in formulas]
    assert all(drawn)
    # What the library does not know it copies with its backslash.
    assert not any("\\" in one for one in drawn if one)


def test_symbols_are_those_of_the_formula():
    symbols = {m.name: {latex for latex, _ in notation(m)} for m in methods()}
    assert symbols["ipo"] == {r"\Delta", "m"}
    assert symbols["reward_bradley_terry"] == {r"\sigma", "r", r"\mu, c"}
    assert {r"\ell", r"\sigma"} <= symbols["orpo"]


def test_the_pages_are_made_without_torch():
    code = (
        "import sys, training.alignment.reference_pages as r; r.pages(); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=DOCS.parents[1], check=True)


def test_the_command_names_its_argument():
    command = [sys.executable, "-m", "training.alignment.reference_pages"]
    done = subprocess.run(command, cwd=DOCS.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "docs/methods" in done.stderr
