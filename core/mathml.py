"""LaTeX to MathML that is safe to put into a page.

latex2mathml copies some of its input into the output unescaped (\\text) and lets it set
attributes (\\href, \\style). So only its element tree is used: it is written out here, from an
allow-list of tags and attributes, with every text and value escaped.
"""

import html
import re
from typing import Literal
from xml.etree.ElementTree import Element

from latex2mathml import exceptions
from latex2mathml.converter import Converter

MAXIMUM_LENGTH = 2_000
TAGS = frozenset(
    {
        "math", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "mfrac", "msqrt", "mroot",
        "mstyle", "mpadded", "mphantom", "menclose", "msub", "msup", "msubsup", "munder", "mover",
        "munderover", "mmultiscripts", "mprescripts", "none", "mtable", "mtr", "mlabeledtr", "mtd",
        "mfenced",
    }
)  # fmt: skip
ATTRIBUTES = frozenset(
    {
        "accent", "accentunder", "align", "columnalign", "columnlines", "columnspacing", "depth",
        "display", "displaystyle", "fence", "form", "height", "largeop", "linethickness", "lspace",
        "mathvariant", "maxsize", "minsize", "movablelimits", "notation", "rowlines", "rowspacing",
        "rspace", "scriptlevel", "separator", "stretchy", "symmetric", "voffset", "width",
    }
)  # fmt: skip
_VALUE = re.compile(r"[A-Za-z0-9+.,% \-]{1,60}")
# Macros can expand without bound, and no response needs to define one.
_MACRO = re.compile(r"\\(?:def|let|(?:re)?new|provide|Declare)")
# The parser meets hostile input with its own exceptions and, often, with Python's.
_FAILURES: tuple[type[Exception], ...] = (
    *(error for error in vars(exceptions).values() if isinstance(error, type)),
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)

Display = Literal["inline", "block"]


def mathml(latex: str, display: Display) -> str | None:
    """Convert one formula; None when it cannot be converted, and so should be shown as written."""
    if len(latex) > MAXIMUM_LENGTH or _MACRO.search(latex):
        return None
    try:
        root = Converter(display=display).convert_to_element(latex)
        return _written(root)
    except _FAILURES:
        return None


def _written(element: Element) -> str:
    if element.tag not in TAGS:
        raise ValueError(f"latex2mathml made a <{element.tag}>, which is not allowed.")
    attributes = "".join(
        f' {name}="{html.escape(value)}"'
        for name, value in element.attrib.items()
        if name in ATTRIBUTES and _VALUE.fullmatch(value)
    )
    # Its texts hold character references, hence unescape before escape.
    text = html.escape(html.unescape(element.text or ""))
    inside = "".join(_written(child) for child in element)
    return f"<{element.tag}{attributes}>{text}{inside}</{element.tag}>"
