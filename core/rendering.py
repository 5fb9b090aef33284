"""Text of strangers (prompts, responses, guidelines) as safe HTML.

Markdown without raw HTML, then an allow-list (nh3), then the formulas, which were kept out as
placeholders and are safe by their own making (core.mathml). No image is ever loaded: it would
tell its host who judges what. The output has no style, no id, no script, and only the classes
named here, so it passes a strict content security policy.
"""

import hashlib
import html
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache

import nh3
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from pygments.token import STANDARD_TYPES

from core.hidden_characters import show_hidden
from core.markdown import (
    ALIGNMENTS,
    LINK_SCHEMES,
    MAXIMUM_CODE,
    PLACEHOLDER_CLOSE,
    PLACEHOLDER_OPEN,
    TEXT_BLOCKS,
    Budget,
    NotFormattableError,
    build_parser,
    code_html,
)

MAXIMUM_MARKDOWN = 200_000  # characters; a response of 8,000 words has about 50,000
CACHED_CHARACTERS = 32_000_000
# A browser lays out only the pieces that are seen: two million characters cost as much as four
# thousand. Shorter text stays whole.
PIECE = 4_000

TAGS = TEXT_BLOCKS | {
    "a", "br", "code", "div", "em", "hr", "pre", "s", "span", "strong", "table", "tbody",
    "thead", "tr",
}  # fmt: skip
ATTRIBUTES: dict[str, set[str]] = {
    **{tag: {"dir"} for tag in TEXT_BLOCKS},
    "a": {"href"},
    "ol": {"dir", "start"},
    "pre": {"dir"},
}
CLASSES: dict[str, set[str]] = {
    "span": {f"hl-{name}" for name in STANDARD_TYPES.values() if name}
    | {"link-target", "image-stand-in"},
    "code": {"code-block", "latex"},
    "div": {"code-info", "table-scroll"},
    "td": set(ALIGNMENTS.values()),
    "th": set(ALIGNMENTS.values()),
}
_PLACEHOLDER = re.compile(f"{PLACEHOLDER_OPEN}([0-9]+){PLACEHOLDER_CLOSE}")
_NOTE = '<p class="rendering-note">Too long or too intricate to format, so shown as written:</p>'


def render_markdown(text: str) -> SafeString:
    """Render markdown with tables, code, and LaTeX formulas as safe HTML.

    Text that is too long, or made to be slow, is shown as `render_plain` shows it, with a note.
    Results are kept by the hash of the text.
    """
    if len(text) > MAXIMUM_MARKDOWN:
        return _as_written(text)
    return _renderings.get(text, _render)


def render_plain(text: str) -> SafeString:
    """Show text exactly as written: nothing formatted, white space kept, hidden marks visible."""
    shown = show_hidden(text)
    if len(shown) <= 2 * PIECE:
        return SafeString(f'<div class="plain-text" dir="auto">{html.escape(shown)}</div>')
    pieces = (f'<div class="piece">{html.escape(piece)}</div>' for piece in _pieces(shown))
    return SafeString(f'<div class="plain-text" dir="auto">{"".join(pieces)}</div>')


def render_data(text: str) -> SafeString:
    """Show what a program wrote: JSON indented and highlighted, everything else as written."""
    spread = _spread(text) if len(text) <= MAXIMUM_CODE else None
    return render_plain(text) if spread is None else SafeString(code_html(spread, "json"))


def _spread(text: str) -> str | None:
    """JSON on lines of its own, if nothing but white space changes by that."""
    try:
        value = json.loads(text)
        written = json.dumps(value, ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return None
    is_same = "".join(written.split()) == "".join(text.split())
    return show_hidden(written) if is_same and isinstance(value, dict | list) else None


def _pieces(text: str) -> Iterator[str]:
    """Cut at line ends, or else where a word ends, or else anywhere."""
    start = 0
    while len(text) - start > 2 * PIECE:
        end = text.find("\n", start + PIECE, start + 2 * PIECE) + 1
        end = end or text.find(" ", start + PIECE, start + 2 * PIECE) + 1
        end = end or start + 2 * PIECE
        yield text[start:end]
        start = end
    yield text[start:]


def _as_written(text: str) -> SafeString:
    return SafeString(_NOTE + render_plain(text))


def _render(text: str) -> SafeString:
    budget = Budget()
    try:
        unsafe = _parser().render(show_hidden(text), {"budget": budget})
    except (NotFormattableError, RecursionError):
        return _as_written(text)
    clean = nh3.clean(
        unsafe,
        tags=set(TAGS),
        attributes=ATTRIBUTES,
        allowed_classes=CLASSES,
        url_schemes=set(LINK_SCHEMES),
        url_relative="deny",
        link_rel="nofollow noopener noreferrer",
    )
    return SafeString(_PLACEHOLDER.sub(lambda found: budget.formulas[int(found[1])], clean))


@cache
def _parser() -> MarkdownIt:
    return build_parser()


class _Renderings:
    """The last used renderings by hash of their text, bounded by characters."""

    def __init__(self, characters: int) -> None:
        self._free = characters
        self._kept: OrderedDict[bytes, SafeString] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, text: str, make: Callable[[str], SafeString]) -> SafeString:
        """Return the rendering of `text`, making it when it is not kept."""
        key = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make(text)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._free -= len(made)
            while self._free < 0:
                self._free += len(self._kept.popitem(last=False)[1])
        return made


_renderings = _Renderings(CACHED_CHARACTERS)
