"""Markdown, read and written our way: with formulas, without images, raw HTML or hidden text.

The output is *not yet safe*: core.rendering cleans it. Nothing that a judge should see is
swallowed: reference definitions are shown as written, link titles and the words after a code
fence are shown, and text nested too deeply for the parser is refused instead of cut.
"""

import html
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import pygments
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from core.mathml import MAXIMUM_LENGTH, Display, mathml

MAXIMUM_DEPTH = 60  # the parser cuts text off at 100
MAXIMUM_CODE = 20_000
MAXIMUM_MATH = 40_000  # characters of all formulas of a text, about 0.4 s
MAXIMUM_SECONDS = 1.0  # of this thread's work, so that a busy machine changes nothing
LINK_SCHEMES = frozenset({"http", "https", "mailto"})
LANGUAGES = frozenset(
    {
        "bash", "c", "console", "cpp", "csharp", "css", "diff", "go", "haskell", "html", "ini",
        "java", "javascript", "js", "json", "jsx", "julia", "kotlin", "lua", "makefile",
        "markdown", "matlab", "perl", "php", "powershell", "py", "python", "r", "ruby", "rust",
        "scala", "sh", "shell", "sql", "swift", "tex", "toml", "ts", "tsx", "typescript", "xml",
        "yaml", "yml",
    }
)  # fmt: skip
TEXT_BLOCKS = frozenset({"p", "h3", "h4", "h5", "h6", "li", "ul", "ol", "blockquote", "td", "th"})
ALIGNMENTS = {"left": "align-left", "center": "align-center", "right": "align-right"}
# Where the formulas go once the rest is clean. show_hidden leaves neither character in a text.
PLACEHOLDER_OPEN, PLACEHOLDER_CLOSE = "\ue000", "\ue001"


class NotFormattableError(Exception):
    """The text is nested too deeply, or takes longer to format than a page may wait for."""


@dataclass
class Budget:
    """What formatting one text may still use, and the formulas found so far."""

    formulas: list[str] = field(default_factory=list)
    math_left: int = MAXIMUM_MATH
    deadline: float = field(default_factory=lambda: time.thread_time() + MAXIMUM_SECONDS)

    def check(self) -> None:
        """Raise NotFormattableError when the time is up."""
        if time.thread_time() > self.deadline:
            raise NotFormattableError


def build_parser() -> MarkdownIt:
    """Make the parser; it is stateless, and `render` takes {"budget": Budget()} as its env."""
    parser = MarkdownIt("js-default", {"breaks": True}).disable("reference")
    interrupts = ["paragraph", "reference", "blockquote", "list"]
    parser.block.ruler.before("table", "limits", _block_limits, {"alt": interrupts})
    parser.block.ruler.before("fence", "math", _math_block, {"alt": interrupts})
    parser.inline.ruler.before("text", "limits", _inline_limits)
    parser.inline.ruler.before("escape", "math", _math_inline)
    parser.core.ruler.push("blocks", _mark_blocks)
    for name, rule in _RENDER_RULES.items():
        parser.add_render_rule(name, rule)
    return parser


def _budget(env: EnvType) -> Budget:
    return cast("Budget", env["budget"])


def _block_limits(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    _budget(state.env).check()
    if state.level > MAXIMUM_DEPTH:
        raise NotFormattableError
    return False


def _inline_limits(state: StateInline, silent: bool) -> bool:
    _budget(state.env).check()
    return False


def _math_inline(state: StateInline, silent: bool) -> bool:
    """Parse $…$, $$…$$, \\(…\\) and \\[…\\] inside a line."""
    found = _formula_at(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        token = state.push("math", "", 0)
        token.content, token.info = found.latex, found.display
        token.markup = state.src[state.pos : found.end]
    state.pos = found.end
    return True


def _math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse $$…$$ or \\[…\\] that fills whole lines, before lists and headings see its lines."""
    begin = state.bMarks[start] + state.tShift[start]
    if not state.src.startswith(("$$", "\\["), begin):
        return False
    found = _formula_at(state.src, begin, state.eMarks[end - 1])
    if found is None:
        return False
    last = next(line for line in range(start, end) if found.end <= state.eMarks[line])
    followed = state.src[found.end : state.eMarks[last]].strip()
    if followed or any(state.sCount[line] < state.blkIndent for line in range(start, last + 1)):
        return False
    if not silent:
        state.line = last + 1
        token = state.push("math", "", 0)
        token.content, token.info = found.latex, found.display
        token.markup = state.src[begin : found.end]
        token.block, token.map = True, [start, last + 1]
    return True


@dataclass(frozen=True)
class _Formula:
    latex: str
    display: Display
    end: int


_DELIMITERS: tuple[tuple[str, str, Display], ...] = (
    ("$$", "$$", "block"),
    ("$", "$", "inline"),
    ("\\(", "\\)", "inline"),
    ("\\[", "\\]", "block"),
)


def _formula_at(source: str, start: int, limit: int) -> _Formula | None:
    """Find a formula that begins at `start`.

    A single dollar follows Pandoc's rule, so that "$5 and $6" stays money: no white space
    inside the dollars, no digit after the second.
    """
    kind = next((each for each in _DELIMITERS if source.startswith(each[0], start)), None)
    if kind is None:
        return None
    opener, closer, display = kind
    inside = start + len(opener)
    last = min(limit, inside + MAXIMUM_LENGTH + len(closer))
    end = source.find(closer, inside, last)
    while opener == "$" and end >= 0 and not _closes_dollar(source, inside, end):
        end = source.find(closer, end + 1, last)
    latex = source[inside : max(end, inside)]
    if not latex.strip() or "\n\n" in latex:
        return None
    return _Formula(latex, display, end + len(closer))


def _closes_dollar(source: str, inside: int, end: int) -> bool:
    before, after = source[end - 1], source[end + 1 : end + 2]
    tight = not source[inside].isspace() and not before.isspace()
    return tight and before != "\\" and not after.isdigit()


def _mark_blocks(state: StateCore) -> None:
    """Let each block find its own direction, and keep the page's headings above the text's.

    A list or a quotation finds it from its words, which it could not if they had their own.
    """
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
        if token.nesting == 1 and token.tag in TEXT_BLOCKS:
            if token.level == 0 or token.tag in ("td", "th"):
                token.attrSet("dir", "auto")
            align = str(token.attrs.pop("style", "")).removeprefix("text-align:")
            if align in ALIGNMENTS:
                token.attrSet("class", ALIGNMENTS[align])


def _math(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    token, budget = tokens[at], _budget(env)
    budget.check()
    budget.math_left -= len(token.content)
    display: Display = "block" if token.info == "block" else "inline"
    written = mathml(token.content, display) if budget.math_left >= 0 else None
    if written is None:
        return f'<code class="latex">{html.escape(token.markup)}</code>'
    budget.formulas.append(written)
    return f"{PLACEHOLDER_OPEN}{len(budget.formulas) - 1}{PLACEHOLDER_CLOSE}"


def _code(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    _budget(env).check()
    code, info = tokens[at].content, tokens[at].info.strip()
    label = f'<div class="code-info">{html.escape(info)}</div>\n' if info else ""
    return f"{label}{code_html(code, info.split(' ')[0].lower())}\n"


def code_html(code: str, language: str) -> str:
    """Write code as HTML, highlighted where the language is known and the code not too long."""
    known = language in LANGUAGES and len(code) <= MAXIMUM_CODE
    shown = _highlighted(code, language) if known else html.escape(code)
    return f'<pre dir="ltr"><code class="code-block">{shown}</code></pre>'


def _highlighted(code: str, language: str) -> str:
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    return pygments.highlight(code, lexer, HtmlFormatter(nowrap=True, classprefix="hl-"))


def _image(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    alt = renderer.renderInlineAsText(tokens[at].children or [], options, env)
    where = _where(tokens[at], "src")
    return f'<span class="image-stand-in">[image: {html.escape(f"{alt} ({where})")}]</span>'


def _link_open(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    target = str(tokens[at].attrGet("href") or "")
    return f'<a href="{html.escape(target)}">' if _is_outward(target) else ""


def _link_close(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    """Close the link and say where it leads, unless its words say just that."""
    opening = next(place for place in range(at, -1, -1) if tokens[place].type == "link_open")
    target = str(tokens[opening].attrGet("href") or "")
    words = "".join(token.content for token in tokens[opening + 1 : at])
    end = "</a>" if _is_outward(target) else ""
    where = _where(tokens[opening], "href")
    if words in (where, where.removeprefix("mailto:")):
        return end
    return f'{end} <span class="link-target">({html.escape(where)})</span>'


def _where(token: Token, attribute: str) -> str:
    """The target of a link or image, shortened, and its title, which is else seen on hover only."""
    target, title = str(token.attrGet(attribute) or ""), str(token.attrGet("title") or "")
    shortened = target if len(target) <= 120 else f"{target[:119]}…"
    return f'{shortened} "{title}"' if title else shortened


def _is_outward(target: str) -> bool:
    """Tell a link to the outside from one that would lead to a page of ours."""
    scheme, colon, rest = target.partition(":")
    return bool(colon) and scheme.lower() in LINK_SCHEMES and bool(rest.strip("/"))


def _table_open(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    return '<div class="table-scroll"><table>\n'


def _table_close(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    return "</table></div>\n"


_RENDER_RULES: dict[str, Callable[..., str]] = {
    "math": _math,
    "fence": _code,
    "code_block": _code,
    "image": _image,
    "link_open": _link_open,
    "link_close": _link_close,
    "table_open": _table_open,
    "table_close": _table_close,
}
