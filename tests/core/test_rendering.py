"""What people and models wrote is shown whole, and can do nothing to the page."""

import json
import time
from xml.etree.ElementTree import Element

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import mathml as mathml_module
from core.hidden_characters import show_hidden
from core.markdown import MAXIMUM_DEPTH
from core.mathml import mathml
from core.rendering import (
    ATTRIBUTES,
    CLASSES,
    PIECE,
    TAGS,
    render_data,
    render_markdown,
    render_plain,
)
from tests.payloads import PAYLOADS

HTML = "{http://www.w3.org/1999/xhtml}"
MATHML = "{http://www.w3.org/1998/Math/MathML}"


def parsed(rendered: str) -> list[Element]:
    """Parse as a browser does, with a parser that nothing in the product uses."""
    root = html5lib.parseFragment(rendered, container="main", treebuilder="etree")
    return [element for element in root.iter() if element is not root]


def assert_harmless(rendered: str) -> None:
    for element in parsed(rendered):
        assert isinstance(element.tag, str), "a comment or a processing instruction"
        if element.tag.startswith(MATHML):
            assert element.tag.removeprefix(MATHML) in mathml_module.TAGS
            assert set(element.attrib) <= mathml_module.ATTRIBUTES
        else:
            assert_harmless_html(element)


def assert_harmless_html(element: Element) -> None:
    tag = str(element.tag).removeprefix(HTML)
    assert tag in TAGS | {"p"}
    attributes = dict(element.attrib)
    names = set(attributes.pop("class", "").split())
    assert names <= CLASSES.get(tag, set()) | {"plain-text", "piece", "rendering-note"}
    if tag == "a":
        assert attributes.pop("rel") == "nofollow noopener noreferrer"
        assert attributes["href"].startswith(("https://", "http://", "mailto:"))
    if tag == "div":
        attributes.pop("dir", None)
    assert set(attributes) <= ATTRIBUTES.get(tag, set())


def test_the_corpus_is_large_enough() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 100


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payload_is_harmless(payload: str) -> None:
    for text in (payload, f"before {payload} after", f"> - {payload}\n\n{payload}"):
        assert_harmless(render_markdown(text))
        assert_harmless(render_plain(text))
        assert_harmless(render_data(text))
        assert_harmless(render_data(json.dumps({text: [text]}, ensure_ascii=False)))


SYNTAX = st.sampled_from(
    [*"<>[]()!`*_~|$\\&;:#-+.\"'=/ \n\t{}^", "$$", "\\(", "\\)", "```", "http://a", "javascript:",
     "<script>", "<a href=", "\\text{", "\\frac", "x", "\u200b", "\u202e", "\ue000", "\ue001", "0",
     "&lt;", "|--|", "\\begin{matrix}", "\\end{matrix}", "\\left(", "\\sqrt", "\\over"]
)  # fmt: skip


@given(st.lists(SYNTAX, max_size=60).map("".join))
def test_any_text_is_harmless(text: str) -> None:
    assert_harmless(render_markdown(text))


@given(st.lists(SYNTAX, max_size=60).map("".join))
def test_any_formula_converts_or_is_declined(latex: str) -> None:
    assert_harmless(mathml(latex, "inline") or "")


@given(st.text())
def test_plain_text_keeps_every_character(text: str) -> None:
    (block,) = parsed(render_plain(text))
    assert "".join(block.itertext()) == show_hidden(text)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 2_000_000,
        "word " * 60_000,
        "line\n" * 60_000,
        "🙂" * 20_000 + "\n" * 20_000,
        "a" * (2 * PIECE) + "\n",
    ],
)
def test_long_text_is_in_pieces_that_hold_every_character(text: str) -> None:
    block, *pieces = parsed(render_plain(text))
    assert "".join(block.itertext()) == text
    assert all(len(str(piece.text)) <= 2 * PIECE for piece in pieces)
    assert len(pieces) >= len(text) / (2 * PIECE)


def test_pieces_end_where_a_line_or_a_word_ends() -> None:
    for text, end in (("a line\n" * 5_000, "\n"), ("word " * 5_000, " ")):
        _, *pieces = parsed(render_plain(text))
        assert all(str(piece.text).endswith(end) for piece in pieces)


def test_json_of_a_program_is_spread_out() -> None:
    rendered = render_data('{"city": "Köln", "days": [1, 2.5]}')
    assert '<span class="hl-nt">"city"</span>' in rendered
    assert "Köln" in rendered
    assert rendered.count("\n") >= 4


@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "a": 2}', "1.0e5 [", '{"a": 1.0e5}', '"\\u00e9"', "12", "a **b**", "[" * 90_000, ""],
)
def test_other_words_of_a_program_stay_as_they_are(text: str) -> None:
    (block, *_) = parsed(render_data(text))
    assert "".join(block.itertext()) == text


def test_markdown_is_formatted() -> None:
    text = "# One\n\n**two** and ~~three~~\nnext line\n\n1. four\n\n| a | b |\n|:--|--:|\n| 5 | 6 |"
    rendered = render_markdown(text)
    assert '<h3 dir="auto">One</h3>' in rendered
    assert "<strong>two</strong> and <s>three</s><br>" in rendered
    assert '<ol dir="auto">' in rendered
    assert '<td dir="auto" class="align-right">6</td>' in rendered
    assert_harmless(rendered)


def test_code_is_highlighted_by_classes() -> None:
    rendered = render_markdown("```python\ndef f(): return '<b>'\n```")
    assert '<span class="hl-k">def</span>' in rendered
    assert "&lt;b&gt;" in rendered
    assert '<div class="code-info">python</div>' in rendered


def test_code_of_an_unknown_language_is_shown_as_it_is() -> None:
    assert '<code class="code-block">x &lt; y\n</code>' in render_markdown("```klingon\nx < y\n```")


@pytest.mark.parametrize(
    "text", ["$x^2$", "\\(x^2\\)", "a $$x^2$$ b", "\\[\nx^2\n\\]", "$$\nx^2\n$$"]
)
def test_formulas_become_mathml(text: str) -> None:
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in render_markdown(text)


def test_a_block_formula_is_not_read_as_a_list() -> None:
    rendered = render_markdown("$$\n- x\n= 3\n$$\n\n- a list")
    assert '<math display="block">' in rendered
    assert rendered.count("<li") == 1


@pytest.mark.parametrize("text", ["costs $5 and $6", "`$x$`", "\\$5$", "$ x $", "```\n$x$\n```"])
def test_what_is_no_formula_stays_text(text: str) -> None:
    assert "<math" not in render_markdown(text)


def test_a_formula_that_cannot_be_read_is_shown_as_written() -> None:
    assert '<code class="latex">$x^{$</code>' in render_markdown("$x^{$")


def test_links_show_where_they_lead() -> None:
    rendered = render_markdown('[our bank](https://evil.example/x "trust me")')
    assert 'rel="nofollow noopener noreferrer">our bank</a>' in rendered
    assert '(https://evil.example/x "trust me")</span>' in rendered


def test_a_link_to_a_page_of_ours_is_text() -> None:
    rendered = render_markdown("[settings](/projects/1/delete)")
    assert "<a" not in rendered
    assert 'settings <span class="link-target">(/projects/1/delete)</span>' in rendered


def test_an_address_is_not_repeated() -> None:
    assert "link-target" not in render_markdown("<https://e.example/a> <x@e.example>")


def test_images_are_described_and_never_loaded() -> None:
    rendered = render_markdown("![a cat](https://e.example/cat.png)")
    assert "[image: a cat (https://e.example/cat.png)]" in rendered
    assert "<img" not in rendered


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("a\u202eb", "a⟦U+202E⟧b"),
        ("a\u200b\u200b\u200bb", "a⟦U+200B ×3⟧b"),
        ("a\u2066b", "a⟦U+2066⟧b"),
        ("\U000e0041\U000e0042", "⟦U+E0041⟧⟦U+E0042⟧"),
        ("a\u200db", "a⟦U+200D⟧b"),
        ("\x1b[31m", "⟦U+001B⟧[31m"),
        ("a\x00b", "a⟦U+0000⟧b"),
    ],
)
def test_hidden_characters_are_shown(hidden: str, shown: str) -> None:
    assert shown in render_plain(hidden)
    assert shown in render_markdown(hidden)


@pytest.mark.parametrize("text", ["👩‍👩‍👧 family", "❤️‍🔥", "می‌خواهم", "क्‍ष"])
def test_joiners_that_a_script_needs_stay(text: str) -> None:
    assert show_hidden(text) == text


def test_blocks_find_their_own_direction() -> None:
    assert '<p dir="auto">שלום</p>' in render_markdown("שלום")


@pytest.mark.parametrize(
    "text",
    [
        "word " * 200_000,
        "[" * 150_000,
        "![" * 75_000,
        "[a](" * 40_000,
        ("|a" * 500 + "|\n") + ("|-" * 500 + "|\n") + ("|a" * 500 + "|\n") * 150,
        "$$\n" * 30_000,
        "> " * 100_000,
        "$x" * 90_000,
        "*a**b" * 30_000,
        "<" * 150_000,
        "```python\n" + "(" * 100_000,
    ],
)
def test_no_text_freezes_the_page(text: str) -> None:
    started = time.thread_time()
    rendered = render_markdown(text)
    assert time.thread_time() - started < 3
    assert len(rendered) < 20 * len(text)


def test_text_nested_too_deeply_is_shown_whole() -> None:
    rendered = render_markdown("> " * (MAXIMUM_DEPTH + 2) + "the end")
    assert "shown as written" in rendered
    assert "the end" in rendered


def test_definitions_of_links_are_not_hidden() -> None:
    assert "secret" in render_markdown('[a]: https://e.example "secret"')


def test_a_rendering_is_made_once() -> None:
    text = "made **once**"
    assert render_markdown(text) is render_markdown(text)
