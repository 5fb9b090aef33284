"""What people and models wrote is shown whole, and can do nothing to the page."""

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
from core.rendering import ATTRIBUTES, CLASSES, TAGS, render_markdown, render_plain

HTML = "{http://www.w3.org/1999/xhtml}"
MATHML = "{http://www.w3.org/1998/Math/MathML}"

PAYLOADS = [
    "<script>alert(1)</script>",
    "<ScRiPt>alert(1)</sCrIpT>",
    "<script src=//evil.example/x.js></script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<img/src=x/onerror=alert(1)>",
    '<img src="javascript:alert(1)">',
    "<IMG SRC=`javascript:alert(1)`>",
    '<img """><script>alert("XSS")</script>"\\>',
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    '<svg><use href="data:image/svg+xml,<svg onload=alert(1)>#x"></use></svg>',
    '<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>',
    '<math><mi xlink:href="javascript:alert(1)">x</mi></math>',
    '<math href="javascript:alert(1)">x</math>',
    "<math><annotation-xml encoding=text/html><script>alert(1)</script></annotation-xml></math>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=javascript:alert(1)></object>",
    "<embed src=javascript:alert(1)>",
    "<body onload=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<select autofocus onfocus=alert(1)>",
    "<textarea autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<audio src=x onerror=alert(1)>",
    "<marquee onstart=alert(1)>",
    "<form action=javascript:alert(1)><input type=submit></form>",
    "<button formaction=javascript:alert(1)>x</button>",
    "<isindex action=javascript:alert(1)>",
    "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<style>@import '//evil.example/x.css';</style>",
    "<style>body{background:url(javascript:alert(1))}</style>",
    '<div style="background:url(javascript:alert(1))">',
    '<div style="position:fixed;inset:0">cover</div>',
    '<p id="content" class="toast">clobber</p>',
    '<a id=defaultView href="clobber:x">',
    "<form id=document><input name=cookie></form>",
    '<a href="javascript:alert(1)">x</a>',
    '<a href="jav&#x09;ascript:alert(1)">x</a>',
    '<a href="&#1;javascript:alert(1)">x</a>',
    '<a href="vbscript:msgbox(1)">x</a>',
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '<a target=_blank href="https://e.example">x</a>',
    '<div hx-get="/admin" hx-trigger="load">x</div>',
    '<div hx-on:load="alert(1)">x</div>',
    '<div data-hx-post="/delete" hx-trigger=load>x</div>',
    "<template><script>alert(1)</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<plaintext>",
    "<xmp><script>alert(1)</script></xmp>",
    "<title><script>alert(1)</script></title>",
    "<!--<img src='--><img src=x onerror=alert(1)//'>",
    "<!--[if gte IE 4]><script>alert(1)</script><![endif]-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><script>alert(1)</script>",
    "<!DOCTYPE html><script>alert(1)</script>",
    "</p></div></main><script>alert(1)</script>",
    "<\x00script>alert(1)</script>",
    "<script\x0c>alert(1)</script>",
    "\ufeff<script>alert(1)</script>",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\\<script\\>alert(1)\\</script\\>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](&#x6A;avascript:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](<java\u00a0script:alert(1)>)",
    "[x](\x01javascript:alert(1))",
    "[x](vbscript:alert(1))",
    "[x](file:///etc/passwd)",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](//evil.example/x)",
    "[x](/api/users/1/delete)",
    "[x](#content)",
    "[x](?next=evil)",
    '[x](https://e.example "onmouseover=alert(1)")',
    '[x](https://e.example" onmouseover="alert(1))',
    "[x](https://e.example'onmouseover='alert(1))",
    '[x](https://e.example "\\"><script>alert(1)</script>")',
    "[<img src=x onerror=alert(1)>](https://e.example)",
    "[![x](javascript:alert(1))](javascript:alert(1))",
    "<javascript:alert(1)>",
    "<https://e.example/\"onclick=alert(1)>",
    "<mailto:x@e.example?body=<script>>",
    "[x]: javascript:alert(1)\n\n[x]",
    '[x]: https://e.example "<script>alert(1)</script>"\n\n[x]',
    "![x](https://evil.example/pixel.png)",
    "![x](javascript:alert(1))",
    '![x" onerror="alert(1)](x)',
    "![<script>alert(1)</script>](https://e.example)",
    "![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+)",
    "```<script>alert(1)</script>\nx\n```",
    '```python" onload="alert(1)\nx\n```',
    "```html\n<script>alert(1)</script>\n```",
    "```diff\n+<img src=x onerror=alert(1)>\n```",
    "    <script>alert(1)</script>",
    "`<script>alert(1)</script>`",
    "| <script>x</script> | b |\n|---|---|\n| <img src=x onerror=alert(1)> | [x](vbscript:y) |",
    '| a |\n|:-:" onload=x|\n| b |',
    "# <script>alert(1)</script>",
    "> <script>alert(1)</script>",
    "- <script>alert(1)</script>",
    "1. <img src=x onerror=alert(1)>",
    "**<script>alert(1)</script>**",
    "~~<script>alert(1)</script>~~",
    "$\\text{<script>alert(1)</script>}$",
    "$\\text{<img src=x onerror=alert(1)>}$",
    "$$\\mathrm{</math><script>alert(1)</script>}$$",
    "$\\href{javascript:alert(1)}{x}$",
    "$\\style{position:fixed}{x}$",
    "$\\class{toast}{x}$",
    "$\\cssId{content}{x}$",
    "$\\color{red;background:url(x)}{x}$",
    "$\\unicode{x3c}script\\unicode{x3e}$",
    "$\\hspace{1em\" onload=\"alert(1)}x$",
    "\\(\\text{&lt;script&gt;alert(1)&lt;/script&gt;}\\)",
    "\\[\\operatorname{<svg onload=alert(1)>}\\]",
    "$\\def\\a{\\a\\a}\\a$",
    "$<script>alert(1)</script>$",
    "[$\\text{<b>}$](javascript:alert(1))",
    "\ue0000\ue001 \ue00099999\ue001",
    '[x](https://e.example/\ue0000\ue001)',
    "$x$ [y](https://e.example/\ue0000\ue001 \"\ue0000\ue001\")",
    "{{ 7*7 }} {% debug %} ${7*7} <%= 7*7 %>",
    "javascript:/*--></title></style></textarea></script><svg/onload='+/\"/+/onmouseover=1/+/[*/[]/+alert(1)//'>",
]  # fmt: skip


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
    assert names <= CLASSES.get(tag, set()) | {"plain-text", "rendering-note"}
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
